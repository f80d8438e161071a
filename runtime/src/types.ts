import type { AutoReport } from './auto.js';
import type { HeldBack } from './held-back.js';
import type { Profile } from './profile.js';
import type { Reason } from './reasons.js';

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

export type { AutoReport, HeldBack, Reason };

export interface AdaptOptions {
  /**
   * A pattern of the bundle, or `auto`: views of the examples, and those that are held back, say how much there is to learn, and which of the
   * patterns that are loaded does. The bundle's default pattern when absent.
   */
  readonly pattern?: string;
  /** Of `auto`: no more patterns are tried after so many milliseconds; all that gain when absent. 0 takes no step. */
  readonly budgetMs?: number;
  /**
   * Inner steps; the pattern's own number when absent. 0 leaves the head at its start (class prototypes, or the kept head); a head alone that
   * is solved for takes none of them.
   */
  readonly steps?: number;
  /** Inner learning rate; the pattern's own when absent. */
  readonly rate?: number;
  /**
   * Views (turned, moved, scaled, lit) of each example, which steps by prototypes ask about and heads in closed form are made of too. When
   * absent, the pattern's own number, of examples that are alone in their class.
   */
  readonly views?: number;
  /**
   * Takes steps below a head in closed form even where views of the examples tell that the network knows them apart already, so that
   * steps make it worse: on photographs, after many steps or at high rates, by several points. For measuring; not with `auto`.
   */
  readonly always?: boolean;
  /** Called after each inner step (counted from 1) with the support loss before it. */
  readonly onStep?: (step: number, loss: number) => void;
  readonly signal?: AbortSignal;
  /**
   * A profile to go on from: its values and head are where the steps start, its classes are kept, and examples of others
   * add classes. Its pattern is taken; under `support` normalization its moments give way to those of the new examples. What it remembers
   * of its examples is adapted to beside the new ones.
   */
  readonly from?: Profile;
  /**
   * Examples of each class that the profile remembers at most, as features of its pattern in signed bytes, so that what is learned later
   * does not displace them; as many as `from` does when absent, else none. A profile with a memory holds what the network made of its
   * owner's pictures.
   */
  readonly remember?: number;
  /** How much of the way back to `from` moved values are pulled in the end, 0 (when absent) to less than 1. */
  readonly anchor?: number;
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
  /** Whether the head is one in closed form, made of all examples at once, rather than where steps of it led. */
  readonly solved: boolean;
  /** Support loss before each inner step; of a step that was taken back, that of the values gone back to. It never rises. */
  readonly losses: readonly number[];
  /** Support loss with the profile's values, never above the first of `losses`; undefined where no step was taken. */
  readonly loss: number | undefined;
  /** How many times the rate was halved, as a step would have raised the loss. */
  readonly halved: number;
  /**
   * How many of the examples come out right when they are asked about unseen: with `auto` by what was adapted to the other half of
   * them, else by heads that are made without them, before any step below these. Absent where no class has two examples, the bundle's
   * head is not made of examples, or a profile is gone on from.
   */
  readonly heldBack?: HeldBack;
  /** Why no step was taken where some were asked for, in English; absent where they were. */
  readonly spared?: string;
  /** With `auto`: what was tried, and why the profile has its pattern. */
  readonly auto?: AutoReport;
  /** The reason of `spared` or `auto` as data, for those who say it in another language. */
  readonly why?: Reason;
  readonly milliseconds: AdaptTimings;
}

export interface Prediction {
  /** The most probable class. */
  readonly label: string;
  /** Probability of each class, in the profile's order of classes. */
  readonly probabilities: Readonly<Record<string, number>>;
  /**
   * How near the image comes to the profile's classes, below 0 where it is more like a picture of none of them; absent where the
   * profile cannot tell.
   */
  readonly familiarity?: number;
}
