import { computed, signal } from '@preact/signals';
import type { BackendChoice } from '@whet/runtime/web';
import type { ComparedPattern, Opened, PredictedImage } from '../workers/compute.js';
import { adaptProblem, type Person } from './model.js';

export type BackendSetting = 'auto' | 'wasm' | 'webgpu';

export type Phase =
  | { readonly kind: 'loading'; readonly loaded: number; readonly total: number }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly message: string };

export interface QueryPicture {
  /** Counts pictures: the same where one is predicted again. */
  readonly id: number;
  readonly pixels: Uint8Array;
  readonly prediction?: PredictedImage;
}

export interface Adapting {
  /** The profile that is adapted. */
  readonly id: string;
  readonly step: number;
  /** Undefined where `auto` chooses what moves. */
  readonly steps: number | undefined;
  readonly losses: readonly number[];
}

export interface Comparison {
  /** The profile whose examples are compared on. */
  readonly id: string;
  readonly results: readonly ComparedPattern[];
  readonly running: boolean;
}

/** A message for people; `problem` stays until it is closed. */
export interface Notice {
  readonly kind: 'done' | 'problem';
  readonly text: string;
  /** Takes back what was done. */
  readonly undo?: () => unknown;
}

const state = {
  phase: signal<Phase>({ kind: 'loading', loaded: 0, total: 0 }),
  opened: signal<Opened | undefined>(undefined),
  bundles: signal<readonly string[]>([]),
  bundleName: signal(''),
  choice: signal<BackendChoice | undefined>(undefined),
  backend: signal<BackendSetting>('auto'),
  people: signal<readonly Person[]>([]),
  others: signal<readonly Person[]>([]),
  personId: signal(''),
  query: signal<QueryPicture | undefined>(undefined),
  adapting: signal<Adapting | undefined>(undefined),
  comparison: signal<Comparison | undefined>(undefined),
  notice: signal<Notice | undefined>(undefined),
  memoryOnly: signal<string | undefined>(undefined),
  isOffline: signal(false),
};

export const { phase, opened, bundles, choice, backend, people, personId } = state;
/** The bundle that is open, is being opened or could not be. */
export const { bundleName } = state;
/** Profiles of models that this page has not got. */
export const { others } = state;
export const { query, adapting, comparison, notice, memoryOnly } = state;
/** Whether everything is kept that a visit without a network needs. */
export const { isOffline } = state;

export const person = computed(() => people.value.find(({ id }) => id === personId.value));
export const classes = computed(() => person.value?.extra.classes ?? []);
/** What keeps from adapting; undefined where nothing does. */
export const missing = computed(() => {
  const manifest = opened.value?.manifest;
  return manifest && adaptProblem(classes.value, manifest.limits, manifest.labels?.length ?? 0);
});
/** Whether the model sees colours: it is for photographs then, not for what is drawn on the page. */
export const seesColours = computed(() => opened.value?.manifest.preprocessing.channels === 3);
export const comparing = computed(() => comparison.value?.running ?? false);
/** What came of comparing on the examples of the profile that is shown. */
export const compared = computed(() =>
  comparison.value && comparison.value.id === personId.value ? comparison.value.results : [],
);

/** ms that good news stays, and what can be taken back; a problem stays until it is closed. */
const [NEWS_MS, UNDO_MS] = [6000, 15_000];

export function say(kind: Notice['kind'], text: string, undo?: () => unknown): void {
  const now: Notice = { kind, text, ...(undo ? { undo } : {}) };
  notice.value = now;
  if (kind === 'problem') return;
  setTimeout(
    () => {
      if (notice.value === now) notice.value = undefined;
    },
    undo ? UNDO_MS : NEWS_MS,
  );
}

export const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
export const isAbort = (cause: unknown): boolean => (cause as { name?: string } | null)?.name === 'AbortError';
