import type { Profile } from './profile.js';

/**
 * What an image becomes below the moving weights of a pattern: enough to adapt and predict with that pattern again, without
 * the image. Made by `Bundle.encode`.
 */
export interface EncodedImage {
  /** Digest of the bundle and name of the pattern, which alone can read it. */
  readonly bundle: string;
  readonly pattern: string;
  /** As many values as the pattern's `features` in the manifest say. */
  readonly features: Float32Array;
}

/** A preprocessed image `[C, H, W]`, row by row, or what was kept of it. */
export type ImageInput = Float32Array | EncodedImage;

/** One labelled image. */
export interface Example<Image extends ImageInput = Float32Array> {
  readonly label: string;
  readonly image: Image;
}

export interface AdaptOptions {
  /** A pattern of the bundle; its default pattern when absent. */
  readonly pattern?: string;
  /** Inner steps; the pattern's own number when absent. 0 leaves the head at its start (class prototypes, or the kept head). */
  readonly steps?: number;
  /** Inner learning rate; the pattern's own when absent. */
  readonly rate?: number;
  /** Called after each inner step (counted from 1) with the support loss before it. */
  readonly onStep?: (step: number, loss: number) => void;
  readonly signal?: AbortSignal;
  /**
   * A profile to go on from: its values and head are where the steps start, its classes are kept, and examples of others
   * add classes. Its pattern is taken; under `support` normalization its moments give way to those of the new examples.
   */
  readonly from?: Profile;
}

/** Milliseconds. `steps` covers the head's start and all inner steps. */
export interface AdaptTimings {
  readonly encode: number;
  readonly steps: number;
  readonly total: number;
}

export interface AdaptResult {
  readonly profile: Profile;
  /** Classes of the examples that neither the bundle's own classes nor the profile it went on from had. */
  readonly added: readonly string[];
  /** Support loss before each inner step; of a step that was taken back, that of the values gone back to. It never rises. */
  readonly losses: readonly number[];
  /** Support loss with the profile's values, never above the first of `losses`; undefined where no step was taken. */
  readonly loss: number | undefined;
  /** How many times the rate was halved, as a step would have raised the loss. */
  readonly halved: number;
  readonly milliseconds: AdaptTimings;
}

export interface Prediction {
  /** The most probable class. */
  readonly label: string;
  /** Probability of each class, in the profile's order of classes. */
  readonly probabilities: Readonly<Record<string, number>>;
}
