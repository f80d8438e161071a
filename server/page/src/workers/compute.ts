import { AUTO, patternsOfAuto } from '@whet/runtime/format';
import {
  type AdaptTimings,
  type AutoReport,
  type BackendChoice,
  type Bundle,
  type DownloadProgress,
  decodeRgba,
  type HeldBack,
  loadBundle,
  type Manifest,
  type OrtFiles,
  type PatternManifest,
  readProfile,
  resizePixels,
  usableThreads,
  type WebBackend,
  type WebLoadOptions,
} from '@whet/runtime/web';
import * as Comlink from 'comlink';
import { densest } from '../state/model.js';
import { encodeOnce, forgetEncoded, seenExamples, seenImage } from './encode-once.js';
import { flattenLight } from './flatten-light.js';
import type { Loader } from './loader.js';

// Everything that computes, in a thread of its own, so that the page never waits. It sees pictures, and may open no connection:
// files come from the loader through a port.

/** Addresses of onnxruntime-web's module and binary, as the build placed them. */
export interface OrtUrls {
  readonly mjs: string;
  readonly wasm: string;
}

export interface OpenRequest {
  readonly bundle: string;
  readonly backend: WebBackend | 'auto';
  readonly urls: { readonly wasm: OrtUrls; readonly webgpu: OrtUrls };
  readonly threads: number | 'auto';
}

export interface Opened {
  readonly manifest: Manifest;
  readonly digest: string;
  readonly choice: BackendChoice;
  /** Fetching, compiling and opening; a first adaptation and prediction. */
  readonly milliseconds: { readonly load: number; readonly warmUp: number };
}

export interface LabelledPixels {
  /** By which what was computed of it is found again; absent where it is not to be kept. */
  readonly id?: string;
  readonly label: string;
  /** `[H, W, C]`, 0..255. */
  readonly pixels: Uint8Array;
}

export interface AdaptChoice {
  /** Of the bundle, or `auto`. */
  readonly pattern: string;
  /** Of `auto`. */
  readonly budgetMs?: number;
}

export interface Adapted {
  readonly bytes: Uint8Array;
  /** The one that was asked for, or that `auto` chose. */
  readonly pattern: string;
  readonly classes: readonly string[];
  readonly losses: readonly number[];
  readonly heldBack?: HeldBack;
  /** Why no step was taken where some were asked for. */
  readonly spared?: string;
  readonly auto?: AutoReport;
  readonly milliseconds: AdaptTimings;
  /** Examples that had to be encoded; the others were before. */
  readonly encoded: number;
}

export interface PredictedImage {
  readonly label: string;
  readonly probabilities: readonly { readonly label: string; readonly probability: number }[];
  readonly milliseconds: number;
}

export interface ComparedPattern {
  readonly pattern: string;
  /** Median ms to adapt. */
  readonly adapt: number;
  readonly right: number;
  readonly count: number;
  /** Bytes of a profile. */
  readonly bytes: number;
}

export interface PictureOptions {
  /** Takes the square in the middle, as a camera's frame shows it. */
  readonly square?: boolean;
  /** Evens out the light of a photographed drawing. */
  readonly flatten?: boolean;
}

let bundle: Bundle | undefined;
let cancelled: AbortController | undefined;

function opened(): Bundle {
  if (!bundle) throw new Error('expected an open bundle');
  return bundle;
}

/** One thing is computed at a time: what is under way gives way. */
function begin(): AbortController {
  compute.cancel();
  cancelled = new AbortController();
  return cancelled;
}

async function ortFiles(loader: Comlink.Remote<Loader>, urls: OrtUrls): Promise<OrtFiles> {
  return { mjs: urls.mjs, wasm: await loader.readAsset(urls.wasm) };
}

const compute = {
  /** Opens a bundle's default pattern. `remember` keeps which backend was the faster one. */
  async open(
    { bundle: name, backend, urls, threads }: OpenRequest,
    loaderPort: MessagePort,
    told: {
      onProgress(progress: DownloadProgress): void;
      onLost(reason: string): void;
    },
    memory?: { get(key: string): Promise<unknown>; set(key: string, value: unknown): Promise<void> },
  ): Promise<Opened> {
    const loader = Comlink.wrap<Loader>(loaderPort);
    const began = performance.now();
    const [wasm, webgpu] = await Promise.all([
      ortFiles(loader, urls.wasm),
      backend === 'wasm' ? undefined : ortFiles(loader, urls.webgpu),
    ]);
    let choice: BackendChoice = { backend: 'wasm', threads: 1, reason: '' };
    const onProgress = Comlink.proxy((progress: DownloadProgress) => told.onProgress(progress));
    const options: WebLoadOptions = {
      backend,
      threads,
      patterns: ({ defaultPattern }) => [defaultPattern],
      files: webgpu ? { wasm, webgpu } : { wasm },
      onBackend: (taken) => {
        choice = taken;
      },
      onLost: (reason) => {
        // Callbacks of the lost device may still throw, in the code of onnxruntime-web.
        addEventListener('error', (event) => event.preventDefault());
        addEventListener('unhandledrejection', (event) => event.preventDefault());
        told.onLost(reason);
      },
      ...(memory ? { memory } : {}),
    };
    forgetEncoded();
    bundle = await loadBundle((path, fresh) => loader.readBundleFile(name, path, onProgress, fresh), options);
    const load = performance.now() - began;
    const { manifest, digest } = bundle;
    return { manifest, digest, choice, milliseconds: { load, warmUp: await bundle.warmUp() } };
  },

  /** The pixels that the bundle would see of a picture. */
  async pixels(
    picture: Blob | ImageBitmap,
    { square = false, flatten = false }: PictureOptions = {},
  ): Promise<Uint8Array> {
    const { preprocessing } = opened().manifest;
    let image = picture instanceof Blob ? await decodeRgba(picture, { field: 'picture' }) : readBitmap(picture);
    if (square) image = middle(image);
    if (flatten && preprocessing.channels === 1) image = flattenLight(image);
    const pixels = resizePixels(image, preprocessing);
    return Comlink.transfer(pixels, [pixels.buffer]);
  },

  /** Adapts; rejects with an AbortError after {@link cancel}. `auto` tries all patterns, which are fetched for it. */
  async adapt(
    examples: readonly LabelledPixels[],
    request: AdaptChoice,
    onStep: (step: number, loss: number) => void,
  ): Promise<Adapted> {
    const open = opened();
    const { pattern: asked } = request;
    const { signal } = begin();
    for (const name of asked === AUTO ? patternsOfAuto(open.manifest) : [asked]) {
      await open.load(name);
      signal.throwIfAborted();
    }
    const began = performance.now();
    // What is kept is of one pattern each, and of views there is nothing kept.
    const { inputs, encoded } =
      asked === AUTO
        ? { inputs: seenExamples(open, examples), encoded: examples.length }
        : await encodeOnce(open, asked, examples, signal);
    const encode = performance.now() - began;
    const adapted = await open.adapt(inputs, { ...request, onStep, signal });
    const { profile, losses, heldBack, spared, auto, milliseconds } = adapted;
    const { pattern, classes } = profile;
    const times = { ...milliseconds, encode: encode + milliseconds.encode, total: encode + milliseconds.total };
    const told = {
      ...(heldBack ? { heldBack } : {}),
      ...(spared === undefined ? {} : { spared }),
      ...(auto ? { auto } : {}),
    };
    return { bytes: profile.toBytes(), pattern, classes, losses, ...told, milliseconds: times, encoded };
  },

  cancel(): void {
    cancelled?.abort(new DOMException('cancelled', 'AbortError'));
  },

  /** Reads a profile and says what is in it; throws where it is damaged or of another bundle. */
  async inspect(bytes: Uint8Array) {
    const found = readProfile(bytes);
    if (found.bundle === opened().digest) await opened().load(found.pattern);
    const { pattern, classes, examples, steps } = opened().profileFromBytes(bytes);
    return { pattern, classes, examples, steps };
  },

  /** A profile and its bundle as one ONNX model that takes pixels. */
  async freeze(bytes: Uint8Array): Promise<Uint8Array> {
    const open = opened();
    await open.load(readProfile(bytes).pattern);
    const model = await open.freeze(open.profileFromBytes(bytes), { input: 'pixels' });
    return Comlink.transfer(model, [model.buffer]);
  },

  async predict(bytes: Uint8Array, pixels: readonly Uint8Array[]): Promise<PredictedImage[]> {
    const open = opened();
    await open.load(readProfile(bytes).pattern);
    const profile = open.profileFromBytes(bytes);
    const began = performance.now();
    const predictions = await open.predict(
      profile,
      pixels.map((one) => seenImage(open, one)),
    );
    const milliseconds = (performance.now() - began) / Math.max(1, pixels.length);
    return predictions.map(({ label, probabilities }) => ({
      label,
      milliseconds,
      probabilities: profile.classes.map((name) => ({ label: name, probability: probabilities[name] as number })),
    }));
  },

  /**
   * Ms that adapting to these examples takes by the pattern that moves most, with all to be encoded: one step is measured, and taken times the
   * steps, the pattern's own when absent.
   */
  async measureDense(examples: readonly LabelledPixels[], asked?: number): Promise<number> {
    const open = opened();
    const pattern = densest(open.manifest);
    const { steps = 0 } = asked === undefined ? (open.manifest.patterns[pattern] as PatternManifest) : { steps: asked };
    const controller = new AbortController();
    cancelled = controller;
    await open.load(pattern);
    controller.signal.throwIfAborted();
    const tensors = seenExamples(open, examples);
    const took = async (count: number) => {
      const options = { pattern, steps: count, always: true, signal: controller.signal };
      return (await open.adapt(tensors, options)).milliseconds;
    };
    // The first run of a session takes longer than the next.
    const first = await took(1);
    const start = await took(0);
    const one = await took(1);
    // What else the device does only adds to a time.
    const stepped = Math.min(first.steps, one.steps);
    const least = Math.min(start.steps, stepped);
    // Without steps no views are encoded.
    return Math.min(first.encode, one.encode) + least + (stepped - least) * steps;
  },

  /**
   * Compares patterns on examples that were held back: every example is predicted once by a profile that was adapted without
   * it, in as many rounds as each class allows, three at most.
   */
  async compare(
    examples: readonly LabelledPixels[],
    patterns: readonly string[],
    onResult: (result: ComparedPattern) => void,
  ): Promise<void> {
    const open = opened();
    const controller = begin();
    const rounds = roundsOf(examples);
    const tensors = seenExamples(open, examples);
    for (const pattern of patterns) {
      await open.load(pattern);
      const times: number[] = [];
      let [right, count, bytes] = [0, 0, 0];
      const signal = controller.signal;
      await open.adapt(tensors, { pattern, steps: 1, always: true, signal });
      for (let round = 0; round < Math.max(...rounds) + 1; round++) {
        const [kept, held] = [
          tensors.filter((_, i) => rounds[i] !== round),
          tensors.filter((_, i) => rounds[i] === round),
        ];
        const { profile, milliseconds } = await open.adapt(kept, { pattern, signal });
        times.push(milliseconds.total);
        bytes = profile.byteLength;
        const predictions = await open.predict(
          profile,
          held.map(({ image }) => image),
        );
        right += predictions.filter(({ label }, i) => label === held[i]?.label).length;
        count += held.length;
      }
      times.sort((a, b) => a - b);
      onResult({ pattern, adapt: times[Math.floor(times.length / 2)] as number, right, count, bytes });
    }
  },

  threads: usableThreads,

  async close(): Promise<void> {
    await bundle?.release();
    bundle = undefined;
  },
};

export type Compute = typeof compute;

/** Which round holds back each example: the examples of a class take turns. */
function roundsOf(examples: readonly LabelledPixels[]): number[] {
  const counts = new Map<string, number>();
  for (const { label } of examples) counts.set(label, (counts.get(label) ?? 0) + 1);
  const rounds = Math.min(3, ...counts.values());
  if (rounds < 2) throw new Error('expected two examples or more of every class, one to adapt to and one to hold back');
  const seen = new Map<string, number>();
  return examples.map(({ label }) => {
    const index = seen.get(label) ?? 0;
    seen.set(label, index + 1);
    return index % rounds;
  });
}

function readBitmap(bitmap: ImageBitmap) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('this browser gives no canvas');
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

function middle(image: { width: number; height: number; data: Uint8ClampedArray | Uint8Array }) {
  const { width, height, data } = image;
  const side = Math.min(width, height);
  const [left, top] = [Math.floor((width - side) / 2), Math.floor((height - side) / 2)];
  const out = new Uint8ClampedArray(side * side * 4);
  for (let y = 0; y < side; y++) {
    const from = ((y + top) * width + left) * 4;
    out.set(data.subarray(from, from + side * 4), y * side * 4);
  }
  return { width: side, height: side, data: out };
}

Comlink.expose(compute);
