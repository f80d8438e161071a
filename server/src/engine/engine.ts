import type { AutoReport, Example, HeldBack, Manifest, Prediction } from '@whet/runtime';

/** A loaded bundle, by the name that requests give it. */
export interface Model {
  readonly name: string;
  readonly manifest: Manifest;
  /** Names what decides predictions, see `Bundle.digest`. */
  readonly digest: string;
}

export interface AdaptJob {
  readonly model: string;
  /** Preprocessed, `C * H * W` values each. */
  readonly examples: readonly Example[];
  readonly pattern?: string;
  readonly steps?: number;
  readonly rate?: number;
  /** Takes steps even where views leave them nothing to learn. */
  readonly always?: boolean;
  /** Of the pattern `auto`. */
  readonly budgetMs?: number;
  /** Examples of each class whose features the profile keeps. */
  readonly remember?: number;
  /** How much of the way back to `from` values are pulled in the end. */
  readonly anchor?: number;
  /** A stored profile to go on from. */
  readonly from?: Uint8Array;
}

export interface AdaptControl {
  readonly signal: AbortSignal;
  /** Called after each inner step (counted from 1) with the loss before it. */
  readonly onStep?: (step: number, loss: number) => void;
}

/** What is to be kept of a profile, and how it came to be. */
export interface AdaptedProfile extends ProfileSummary {
  readonly bytes: Uint8Array;
  readonly added: readonly string[];
  readonly solved: boolean;
  readonly losses: readonly number[];
  readonly loss: number | undefined;
  readonly halved: number;
  readonly heldBack: HeldBack | undefined;
  readonly spared: string | undefined;
  readonly auto: AutoReport | undefined;
  readonly milliseconds: { readonly encode: number; readonly steps: number };
}

export interface ProfileSummary {
  readonly pattern: string;
  readonly classes: readonly string[];
  readonly examples: readonly number[];
}

/** Images for one profile. */
export interface Query {
  /** Names the profile in this version; undefined for the bundle's own classes. */
  readonly key: string | undefined;
  /** The stored profile; may be left out where the engine was given it before. */
  readonly bytes?: Uint8Array;
  /** Preprocessed, `C * H * W` values each. */
  readonly images: readonly Float32Array[];
}

/** What came of one query; `unknown` asks for the profile's bytes. */
export type Answer =
  | { readonly kind: 'predictions'; readonly predictions: readonly Prediction[] }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'error'; readonly error: Error };

/** What computes has ended, or does not answer: what was asked was not done, and may be asked again. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
}

/** What adapts and predicts. Its errors are the runtime's, `InputError` and `ProfileError`, `EngineError`, or the signal's reason. */
export interface Engine {
  /** By name; the first is used where a request names none. */
  readonly models: ReadonlyMap<string, Model>;
  /** How many sessions of onnxruntime it holds. */
  readonly sessions: number;
  adapt(job: AdaptJob, control: AdaptControl): Promise<AdaptedProfile>;
  /** Answers in the order of the queries, which are predicted together: one that fails does not touch the others. */
  predict(model: string, queries: readonly Query[]): Promise<Answer[]>;
  /** Reads a profile and checks that it fits the model. */
  inspect(model: string, bytes: Uint8Array): Promise<ProfileSummary>;
  close(): Promise<void>;
}
