import type { Manifest } from '@whet/runtime';
import type { AdaptJob, Answer, Query } from './engine.js';
import type { SentError } from './local.js';

/** A bundle's files by their paths in it, in memory that threads share. */
export type SharedFiles = ReadonlyMap<string, Uint8Array>;

/** What a thread is started with. */
export interface ThreadSettings {
  readonly directories: readonly string[];
  /** What another thread read in these, which is what it runs on; absent where it is the first that reads them. */
  readonly files?: readonly SharedFiles[] | undefined;
  /** Threads inside an operator. */
  readonly threads: number;
  readonly preload: 'default' | 'all';
  /** What it is asked for. */
  readonly runs: 'predict' | 'adapt';
  /** Added to the niceness of the thread and of its operators' threads, where the system has such; 0 to 19. */
  readonly niceness: number;
}

export type ToThread =
  | { readonly type: 'adapt'; readonly id: number; readonly job: AdaptJob }
  | { readonly type: 'abort'; readonly id: number }
  | { readonly type: 'predict'; readonly id: number; readonly model: string; readonly queries: readonly Query[] }
  | { readonly type: 'inspect'; readonly id: number; readonly model: string; readonly bytes: Uint8Array }
  | { readonly type: 'close' };

export type SentAnswer = Exclude<Answer, { kind: 'error' }> | { readonly kind: 'error'; readonly sent: SentError };

/** Sessions of onnxruntime that the thread holds by then. */
interface Counted {
  readonly sessions: number;
}

export type FromThread =
  | ({
      readonly type: 'ready';
      readonly models: readonly { readonly manifest: Manifest; readonly digest: string }[];
      /** What it read, or was started with. */
      readonly files: readonly SharedFiles[];
    } & Counted)
  | { readonly type: 'step'; readonly id: number; readonly step: number; readonly loss: number }
  | ({ readonly type: 'done'; readonly id: number; readonly value: unknown } & Counted)
  | ({ readonly type: 'failed'; readonly id: number; readonly error: SentError } & Counted);
