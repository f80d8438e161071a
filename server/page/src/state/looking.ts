import { computed, effect, untracked } from '@preact/signals';
import * as Comlink from 'comlink';
import { t } from '../messages/index.js';
import type { PredictedImage } from '../workers/compute.js';
import type { PictureOptions, RefusedPicture, SeenPicture } from '../workers/pictures.js';
import { ask } from './engine.js';
import { here, type Target } from './profiles.js';
import {
  isAbort,
  looksColourful,
  opened,
  person,
  personId,
  type QueryPicture,
  query,
  say,
  sayProblem,
  seesColours,
} from './signals.js';
import { smoothed } from './verdict.js';

/** The pixels that the bundle sees of a picture; undefined, with a notice, where it cannot be read, and where another bundle is open. */
export async function readPicture(
  picture: Blob | ImageBitmap,
  options: PictureOptions = {},
  name = t().thePicture,
  { bundle }: Target = here(),
): Promise<Uint8Array | undefined> {
  if (opened.value?.digest !== bundle) return undefined;
  try {
    const input = picture instanceof Blob ? picture : Comlink.transfer(picture, [picture]);
    const seen = await ask<SeenPicture | RefusedPicture>((compute) => compute.pixels(input, options));
    if (opened.value?.digest !== bundle) return undefined;
    if ('problem' in seen) {
      say(
        'problem',
        t().pictureProblem[seen.problem](name),
        undefined,
        seen.detail.replace(/^picture/, () => name),
      );
      return undefined;
    }
    if (seen.isColourful && !seesColours.value) looksColourful.value = true;
    return seen.pixels;
  } catch (cause) {
    if (!isAbort(cause)) sayProblem(t().predictingFailed, cause);
    return undefined;
  }
}

let handedIn = 0;
/** The picture that was read last: the one shown, or about to be. */
let atHand: (Omit<QueryPicture, 'prediction'> & { readonly isLive: boolean }) | undefined;
let asked = 0;
/** When a picture was last shown: `performance.now()`. */
let shown = 0;

/** How a picture is looked at. */
export interface LookOptions extends PictureOptions {
  /** Whether it is one of many of the same view, so that what is seen is smoothed over time. */
  readonly isLive?: boolean;
}

/**
 * Shows a picture and what the profile makes of it; nothing where there is none. Pictures take their turn when they are handed in: one
 * that is decoded later than its successor is not shown. Resolves to its pixels.
 */
export async function showPicture(
  picture?: Blob | Promise<ImageBitmap>,
  { isLive = false, ...options }: LookOptions = {},
  name?: string,
): Promise<Uint8Array | undefined> {
  handedIn += 1;
  const id = handedIn;
  // What was said of the one before is not of this one; frames of a camera are all of one view.
  if (picture && !isLive) looksColourful.value = false;
  const pixels = picture && (await readPicture(await picture, options, name));
  if (id !== handedIn) return undefined;
  atHand = pixels && { id, pixels, isLive };
  await predictAtHand();
  return pixels;
}

/** Predicts the picture at hand, and shows both; what was asked for last is shown. */
async function predictAtHand(): Promise<void> {
  asked += 1;
  const turn = asked;
  const now = atHand;
  const prediction = now && (await predict(now.pixels));
  if (turn !== asked) return;
  const before = now?.isLive ? query.value?.prediction : undefined;
  const elapsed = performance.now() - shown;
  shown += elapsed;
  query.value = now && {
    id: now.id,
    pixels: now.pixels,
    ...(prediction ? { prediction: smoothed(before, prediction, elapsed) } : {}),
  };
}

async function predict(pixels: Uint8Array): Promise<PredictedImage | undefined> {
  const bytes = person.value?.bytes;
  if (!bytes) return undefined;
  try {
    return (await ask((compute) => compute.predict(bytes, [pixels])))[0];
  } catch (cause) {
    if (!isAbort(cause)) sayProblem(t().predictingFailed, cause);
    return undefined;
  }
}

/** Predicts the picture at hand anew whenever another profile is shown, or the same one has learned, here or in another tab. */
export function predictOnChange(): void {
  const learned = computed(() => person.value?.bytes);
  effect(() => {
    learned.value;
    personId.value;
    untracked(() => void predictAtHand());
  });
}
