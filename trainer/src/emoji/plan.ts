import { DataError, SPLITS, type SplitName } from '../data/dataset.js';
import { inTurns } from './in-turns.js';
import { type Look, lookAt } from './picture.js';
import type { Thing, ThingDrawing } from './things.js';

/** A drawing that is missing among the pictures. */
export interface Undrawn {
  readonly set: string;
  readonly icon: string;
  readonly reason: string;
}

/** A picture that is to be made. */
export interface PlannedPicture {
  /** Below the folder of the data set. */
  readonly file: string;
  readonly thing: string;
  readonly split: SplitName;
  readonly drawing: ThingDrawing;
  readonly look: Look;
  /** Which of the drawing's, from 1. */
  readonly number: number;
}

export interface PlanOptions {
  /** Pictures of each drawing. */
  readonly drawings: number;
  /** Sets that draw a thing, at least. */
  readonly least: number;
  /** Sets of which there are no pictures but in {@link HELD_BACK}, of what is in `test`. */
  readonly holdBack: readonly string[];
  /** Folders to make pictures for. */
  readonly only: readonly EmojiFolder[];
  readonly signal?: AbortSignal | undefined;
  readonly onLook?: (done: number, total: number) => void;
}

const HELD_BACK = 'held-back';
export const EMOJI_FOLDERS = [...SPLITS, HELD_BACK] as const;
export type EmojiFolder = (typeof EMOJI_FOLDERS)[number];

/**
 * The pictures of things, after every drawing was looked at: one that cannot be drawn is left out, and so is a thing that fewer than `least` are left
 * of.
 *
 * @throws {DataError} where one of the folders has no picture.
 */
export async function planPictures(
  things: readonly Thing[],
  { drawings, least, holdBack, only, signal, onLook }: PlanOptions,
): Promise<{ readonly pictures: PlannedPicture[]; readonly undrawn: Undrawn[] }> {
  const all = things.flatMap((thing) => thing.drawings);
  const looks = new Map<ThingDrawing, Look>();
  const reasons = new Map<ThingDrawing, string>();
  await inTurns(all, signal, async (drawing) => {
    try {
      looks.set(drawing, await lookAt(drawing.icon));
    } catch (cause) {
      reasons.set(drawing, cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause));
    }
    onLook?.(looks.size + reasons.size, all.length);
  });
  const pictures: PlannedPicture[] = [];
  for (const { name: thing, split, drawings: own } of things) {
    const whole = own.filter((drawing) => looks.has(drawing));
    if (whole.length < least) continue;
    for (const drawing of whole) {
      const { style } = drawing.set;
      const isHeldBack = holdBack.includes(style);
      const folder = isHeldBack ? HELD_BACK : split;
      if ((isHeldBack && split !== 'test') || !only.includes(folder)) continue;
      for (let number = 1; number <= drawings; number++) {
        const file = `${folder}/${thing}/${style}-${number}.webp`;
        pictures.push({ file, thing, split, drawing, look: looks.get(drawing) as Look, number });
      }
    }
  }
  for (const folder of only) {
    if (pictures.some(({ file }) => file.startsWith(`${folder}/`))) continue;
    const got = `none in ${folder} of ${things.length} things`;
    throw new DataError(`emoji: expected things for ${only.join(', ')}, got ${got}; read more sets`);
  }
  const undrawn = all.flatMap((drawing): Undrawn[] => {
    const reason = reasons.get(drawing);
    return reason === undefined ? [] : [{ set: drawing.set.style, icon: drawing.id, reason }];
  });
  return { pictures, undrawn };
}
