import type { Preprocessing } from '@whet/runtime/images';

/** All images of one class, already decoded: `pixels` is `[count, H, W, C]`, 0..255. */
export interface ImageClass {
  readonly name: string;
  readonly count: number;
  readonly pixels: Uint8Array;
}

/** Classes of different splits are disjoint: what is tested was never trained. */
export type SplitName = 'train' | 'validation' | 'test';
export const SPLITS = ['train', 'validation', 'test'] as const satisfies readonly SplitName[];

export interface Dataset {
  readonly name: string;
  /** How the pixels were made from image files, and become tensors. */
  readonly preprocessing: Preprocessing;
  readonly splits: Readonly<Record<SplitName, readonly ImageClass[]>>;
  /** Images, as paths below the folder, that could not be decoded and were left out, where that was asked for. */
  readonly skipped?: readonly string[];
  /** What stands beside the images, as paths below the folder, and is none; absent where there is nothing. */
  readonly unread?: readonly string[];
  /** Classes that there are images of and that stand in no split; absent where there are none. */
  readonly unsplit?: readonly string[];
  /** By which classes that came without splits were split; absent where they had some. */
  readonly splitSeed?: number;
}

/** Data that is missing, damaged, or too little for what is asked of it. */
export class DataError extends Error {
  override readonly name = 'DataError';
}
