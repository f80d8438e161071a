import { computed, effect, signal, untracked } from '@preact/signals';
import { AUTO } from '@whet/runtime/format';
import * as Comlink from 'comlink';
import { t } from '../messages/index.js';
import type { Adapted, LabelledPixels } from '../workers/compute.js';
import { askLong, engine } from './engine.js';
import { type LastAdaptation, type Person, picturesOf } from './model.js';
import { keepForLater } from './offline.js';
import { change, here, settled, type Target, withExtra } from './profiles.js';
import {
  adapting,
  choice,
  classes,
  comparing,
  isAbort,
  key,
  missing,
  opened,
  person,
  phase,
  sayProblem,
} from './signals.js';

// Learning goes on by itself: what is due is told by what is stored, so it is the same after a reload and in another tab.

/** `?measure` in the address, for timing: every adaptation encodes all examples. */
const isTimed = new URLSearchParams(location.search).has('measure');

/** ms for which examples have to stay as they are: before it learns, and before `auto` tries what takes longer. */
const [SETTLE_MS, QUIET_MS] = [500, 2500];
/** ms in which `auto` tries patterns; what it chooses is adapted to all examples after that. */
const BUDGET_MS = 15_000;

/** The examples of the profile that is shown. */
export const examplesNow = (): LabelledPixels[] =>
  classes.value.flatMap(({ name, pictures }) =>
    pictures.map(({ id, pixels }) => ({ ...(isTimed ? {} : { id }), label: name, pixels })),
  );

/** To learn, to ask about what is held back, or to have `auto` choose what moves. */
type Step = 'learn' | 'test' | 'choose';

interface Due {
  readonly step: Step;
  /** What it is due for: it is cancelled where that changes. */
  readonly of: string;
  readonly at: Target;
}

/** What failed: not tried again until something changes, or somebody asks. */
let failed: string | undefined;

const due = computed((): Due | undefined => {
  const now = person.value;
  if (!now || phase.value.kind !== 'ready' || missing.value !== undefined || comparing.value) return undefined;
  const { learned, chosen, quality, pattern } = now.extra;
  const step = (name: Step): Due => ({ step: name, of: `${now.id} ${key.value}`, at: here() });
  if (learned !== key.value) return step('learn');
  if (quality?.key !== key.value) return step('test');
  return pattern === AUTO && chosen !== key.value ? step('choose') : undefined;
});

/** How often it has learned since the page was opened. */
export const adaptations = signal(0);

let attempt: { readonly due: Due; readonly ending: AbortController } | undefined;

/** Learns whenever examples have changed and stayed as they are for a moment. Called once. */
export function learnOnChange(): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  effect(() => {
    const now = due.value;
    untracked(() => {
      clearTimeout(timer);
      if (attempt && attempt.due.of !== now?.of) void giveUp();
      if (!now || failed === now.of + now.step) return;
      if (attempt?.due.of === now.of && attempt.due.step === now.step) return;
      const wait = { learn: SETTLE_MS, test: 0, choose: QUIET_MS }[now.step];
      timer = setTimeout(() => void run(now), wait);
    });
  });
}

async function giveUp(): Promise<void> {
  attempt?.ending.abort(new DOMException('cancelled', 'AbortError'));
  attempt = undefined;
  await engine.client?.cancel(engine.running);
}

/** Learns anew from the same examples. */
export async function learnAgain(): Promise<void> {
  failed = undefined;
  const at = here();
  await change(at, ({ extra: { learned: _, chosen: _chosen, quality: _quality, ...extra }, ...rest }) => ({
    ...rest,
    extra,
  }));
}

async function run(now: Due): Promise<void> {
  const ending = new AbortController();
  const mine = { due: now, ending };
  attempt = mine;
  try {
    await onlyHere(now.at.id, ending.signal, async () => {
      await settled();
      const still = due.value;
      // Another tab may have done it meanwhile.
      if (ending.signal.aborted || still?.of !== now.of || still.step !== now.step) return;
      if (now.step === 'test') await test(now.at);
      else await learn(now.at, now.step);
    });
  } catch (cause) {
    if (!isAbort(cause)) {
      failed = now.of + now.step;
      if (now.step === 'learn') sayProblem(t().learningFailed, cause, { label: t().again, run: learnAgain });
    }
  } finally {
    if (attempt === mine) attempt = undefined;
  }
}

/** One tab of a browser at a time learns for a profile: the next finds it done. */
async function onlyHere(id: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  // There are no locks over plain HTTP.
  if (!navigator.locks) return work();
  await navigator.locks.request(`whet learns ${id}`, { signal }, work);
}

const lastOf = ({ bytes: _, classes: _classes, milliseconds, ...told }: Adapted, examples: number): LastAdaptation => ({
  ...told,
  ...milliseconds,
  examples,
  backend: choice.value?.backend ?? 'wasm',
});

async function learn(at: Target, step: 'learn' | 'choose'): Promise<void> {
  const { manifest } = opened.value ?? {};
  const now = person.value;
  if (!manifest || !now) return;
  const wanted = now.extra.pattern;
  const isChoosing = step === 'choose';
  // What `auto` takes is known later; the default is there at once.
  const pattern = wanted === AUTO && !isChoosing ? manifest.defaultPattern : wanted;
  const [examples, of] = [examplesNow(), key.value as string];
  const losses: number[] = [];
  let isOver = false;
  adapting.value = { id: at.id, isChoosing, losses };
  const onStep = Comlink.proxy((_step: number, loss: number) => {
    losses.push(loss);
    // One that comes late, of what was cancelled, is of no account.
    if (!isOver) adapting.value = { id: at.id, isChoosing, losses: [...losses] };
  });
  try {
    const request = { pattern, ...(pattern === AUTO ? { budgetMs: BUDGET_MS } : {}) };
    const adapted = await askLong((compute) => compute.adapt(examples, request, onStep));
    const last = lastOf(adapted, examples.length);
    await change(at, ({ extra: { isOlder: _, ...extra }, ...rest }): Person => {
      const told = isChoosing ? { chosen: of } : { learned: of, learnedIn: last.total };
      return { ...rest, bytes: adapted.bytes, changed: new Date().toISOString(), extra: { ...extra, ...told, last } };
    });
    adaptations.value += 1;
    void navigator.storage?.persist?.();
    // The pattern may have been fetched for this.
    void keepForLater();
  } finally {
    isOver = true;
    adapting.value = undefined;
  }
}

async function test(at: Target): Promise<void> {
  const [examples, of] = [examplesNow(), key.value as string];
  const answers = await askLong((compute) => compute.holdBack(examples));
  await change(at, (now) => withExtra(now, { quality: { key: of, ...answers } }));
}

/** Pictures that it has learned from, and how long that took; undefined where it has not, or not from these. */
export const learnedFrom = computed((): { readonly count: number; readonly milliseconds: number } | undefined => {
  const { learnedIn, learned } = person.value?.extra ?? {};
  if (learnedIn === undefined || learned !== key.value) return undefined;
  return { count: picturesOf(classes.value), milliseconds: learnedIn };
});
