import { computed, signal } from '@preact/signals';
import type { BackendChoice } from '@whet/runtime/web';
import type { Opened, PredictedImage } from '../workers/compute.js';
import type { ComparedPattern } from '../workers/hold-back.js';
import { adaptProblem, examplesKey, type Person } from './model.js';

export type BackendSetting = 'auto' | 'wasm' | 'webgpu';

export type Phase =
  | { readonly kind: 'loading'; readonly loaded: number; readonly total: number }
  | { readonly kind: 'asking' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly message: string };

/** Where the picture comes from that is asked about, and that buttons of classes take. */
export type PictureSource = 'camera' | 'draw' | 'picture';

export interface QueryPicture {
  /** Counts pictures: the same where one is predicted again. */
  readonly id: number;
  readonly pixels: Uint8Array;
  readonly prediction?: PredictedImage;
}

export interface Adapting {
  /** The profile that is adapted. */
  readonly id: string;
  /** Whether `auto` tries patterns, of a profile that has learned already. */
  readonly isChoosing: boolean;
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
  /** What a library or the browser said, for engineers. */
  readonly detail?: string;
  /** What can be done about it, in a button. */
  readonly action?: { readonly label: string; readonly run: () => unknown };
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
  source: signal<PictureSource>('camera'),
  query: signal<QueryPicture | undefined>(undefined),
  adapting: signal<Adapting | undefined>(undefined),
  comparison: signal<Comparison | undefined>(undefined),
  notice: signal<Notice | undefined>(undefined),
  memoryOnly: signal<string | undefined>(undefined),
  isOffline: signal(false),
  looksColourful: signal(false),
};

export const { phase, opened, bundles, choice, backend, people, personId } = state;
/** The bundle that is open, is being opened or could not be. */
export const { bundleName } = state;
/** Profiles of models that this page has not got. */
export const { others } = state;
export const { source, query, adapting, comparison, notice, memoryOnly } = state;
/** Whether everything is kept that a visit without a network needs. */
export const { isOffline } = state;

/** Whether a model of drawings was shown a photograph. */
export const { looksColourful } = state;

export const person = computed(() => people.value.find(({ id }) => id === personId.value));
export const classes = computed(() => person.value?.extra.classes ?? []);
/** {@link examplesKey} of what is shown. */
export const key = computed(() => person.value && examplesKey(person.value.extra));
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

/** ms that good news stays, and what can be acted upon; a problem stays until it is closed. */
const [NEWS_MS, ACTION_MS] = [5000, 8000];
/** Whether the pointer or the keyboard is on what is said, which stays for as long. */
export const noticeIsHeld = signal(false);

export function say(kind: Notice['kind'], text: string, action?: Notice['action'], detail = ''): void {
  const now: Notice = { kind, text, ...(action ? { action } : {}), ...(detail ? { detail } : {}) };
  notice.value = now;
  if (kind === 'problem') return;
  const stay = (milliseconds: number): void => {
    setTimeout(() => {
      if (notice.value !== now) return;
      if (noticeIsHeld.value) stay(NEWS_MS);
      else notice.value = undefined;
    }, milliseconds);
  };
  stay(action ? ACTION_MS : NEWS_MS);
}

/** Says a problem together with what was done besides, where that is said now: neither hides the other. */
export function sayBeside(problem: Notice): void {
  const done = notice.value?.kind === 'done' ? notice.value : undefined;
  notice.value = done
    ? { ...problem, text: `${problem.text} ${done.text}`, ...(done.action ? { action: done.action } : {}) }
    : problem;
}

/** An error whose message is for people, in their language. */
export class PlainError extends Error {}

/** Says what went wrong, with what was said of it for engineers. */
export const sayProblem = (text: string, cause: unknown, action?: Notice['action']): void =>
  say('problem', text, action, messageOf(cause));

export const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
export const isAbort = (cause: unknown): boolean => (cause as { name?: string } | null)?.name === 'AbortError';
