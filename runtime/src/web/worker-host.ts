import * as Comlink from 'comlink';
import type { Bundle } from '../bundle.js';
import { BundleError, InputError, ProfileError } from '../errors.js';
import { pixelsToTensor, type RgbaImage, resizePixels } from '../pixels.js';
import type { Profile } from '../profile.js';
import type { AdaptOptions, AdaptResult, Example, ImageInput } from '../types.js';
import { loadBundle, type WebLoadOptions } from '../web.js';
import { decodeFile, readBitmap } from './decode-image.js';

// The thread that `openInWorker` makes: a bundle, and all that computes with it. What cannot cross as it is, errors and profiles, crosses as what
// they are made of.

export interface Crossed<T> {
  readonly value?: T;
  readonly error?: { readonly name: string; readonly message: string; readonly field?: string };
}
export type CrossedResult = Omit<AdaptResult, 'profile'> & { readonly profile: Uint8Array };
export type CrossedOptions = Omit<AdaptOptions, 'from' | 'signal' | 'onStep'> & { readonly from?: Uint8Array };

let opened: Bundle | undefined;
let last: { readonly bytes: Uint8Array; readonly profile: Profile } | undefined;
/** What has a signal, by the number that it was asked with. */
const controllers = new Map<number, AbortController>();

/** What a call comes to; its errors that a caller can act on keep their class. */
async function crossing<T>(work: (bundle: Bundle) => T | Promise<T>): Promise<Crossed<T>> {
  try {
    return { value: await work(opened as Bundle) };
  } catch (cause) {
    const { name, message } = cause as Error;
    if (cause instanceof InputError) return { error: { name, message, field: cause.field } };
    if (cause instanceof BundleError || cause instanceof ProfileError) return { error: { name, message } };
    throw cause;
  }
}

/** The profile that was last asked about is asked about again, as by a camera: it is read once. */
function profileOf(bundle: Bundle, bytes: Uint8Array): Profile {
  const isLast = last?.bytes.length === bytes.length && last.bytes.every((byte, i) => byte === bytes[i]);
  if (!last || !isLast) last = { bytes, profile: bundle.profileFromBytes(bytes) };
  return last.profile;
}

const host = {
  open: (
    address: string,
    options: WebLoadOptions,
    onProgress: WebLoadOptions['onProgress'],
    onBackend: WebLoadOptions['onBackend'],
    onLost: WebLoadOptions['onLost'],
    memory: WebLoadOptions['memory'],
  ) =>
    crossing(async () => {
      const told = Object.entries({ onProgress, onBackend, onLost, memory }).filter(([, given]) => given);
      opened = await loadBundle(address, { ...options, ...Object.fromEntries(told) });
      const { manifest, digest } = opened;
      return { manifest, digest };
    }),

  adapt: (
    call: number,
    examples: readonly Example<ImageInput>[],
    asked: CrossedOptions,
    onStep?: AdaptOptions['onStep'],
  ) =>
    crossing(async (bundle) => {
      const controller = new AbortController();
      controllers.set(call, controller);
      const { from, ...rest } = asked;
      // Calls back by Comlink: what it returns comes when it was told.
      let told: unknown;
      try {
        const result = await bundle.adapt(examples, {
          ...rest,
          ...(from ? { from: profileOf(bundle, from) } : {}),
          ...(onStep
            ? {
                onStep: (step, loss) => {
                  told = onStep(step, loss);
                },
              }
            : {}),
          signal: controller.signal,
        });
        await told;
        return { ...result, profile: result.profile.toBytes() } satisfies CrossedResult;
      } finally {
        controllers.delete(call);
      }
    }),

  cancel: (call: number) => controllers.get(call)?.abort(),

  predict: (profile: Uint8Array, images: readonly ImageInput[]) =>
    crossing((bundle) => bundle.predict(profileOf(bundle, profile), images)),

  encode: (images: readonly Float32Array[], pattern?: string) =>
    crossing((bundle) => bundle.encode(images, pattern === undefined ? {} : { pattern })),

  /** Whether a profile fits. */
  check: (profile: Uint8Array) => crossing((bundle) => void profileOf(bundle, profile)),

  initialProfile: (pattern?: string) => crossing((bundle) => bundle.initialProfile(pattern).toBytes()),

  freeze: (profile: Uint8Array, input?: 'tensor' | 'pixels') =>
    crossing((bundle) => bundle.freeze(profileOf(bundle, profile), input ? { input } : {})),

  load: (pattern: string) => crossing((bundle) => bundle.load(pattern)),

  decode: (picture: Blob | RgbaImage | ImageBitmap) =>
    crossing(async ({ manifest: { preprocessing } }) => {
      try {
        const pixels =
          picture instanceof Blob
            ? await decodeFile(picture, preprocessing)
            : resizePixels(picture instanceof ImageBitmap ? readBitmap(picture) : picture, preprocessing);
        return pixelsToTensor(pixels, preprocessing);
      } finally {
        if (picture instanceof ImageBitmap) picture.close();
      }
    }),
};
export type Host = typeof host;

/** Answers the thread that made this one. */
export const answerCalls = (): void => Comlink.expose(host);
