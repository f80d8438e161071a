import { signal } from '@preact/signals';
import { addPictures } from './examples.js';
import { here, type Target } from './profiles.js';
import { query } from './signals.js';

/** ms between pictures while a button is held. */
const EVERY_MS = 250;
/** Pictures of one recording at most: a button that is kept down by something. */
const MOST = 120;

interface Recording {
  readonly classId: string;
  readonly at: Target;
  readonly pictures: readonly Uint8Array[];
  /** When it began, and when its last picture was taken: `performance.now()`. */
  readonly began: number;
  readonly last: number;
}

/** Pictures that are being recorded, until the button is let go. */
export const recording = signal<Recording | undefined>(undefined);

/** Begins to record frames of the camera for a class. */
export function startRecording(classId: string): void {
  recording.value = { classId, at: here(), pictures: [], began: performance.now(), last: 0 };
}

/** A frame of the camera, as the bundle sees it: recorded where it was taken since the button is held, and it is time for one. */
export function offerFrame(pixels: Uint8Array, taken: number): void {
  const now = recording.value;
  if (!now || now.pictures.length >= MOST || taken < Math.max(now.began, now.last + EVERY_MS)) return;
  recording.value = { ...now, pictures: [...now.pictures, pixels], last: taken };
  navigator.vibrate?.(12);
}

/** Ends a recording and adds what it has: at least the picture that is shown. */
export async function stopRecording(): Promise<void> {
  const now = recording.value;
  recording.value = undefined;
  if (!now) return;
  const shown = query.value?.pixels;
  const pictures = now.pictures.length > 0 ? now.pictures : shown ? [shown] : [];
  if (pictures.length > 0) await addPictures(now.classId, pictures, now.at);
}
