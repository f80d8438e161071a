import { computed, effect, untracked } from '@preact/signals';
import { AUTO } from '@whet/runtime/format';
import * as Comlink from 'comlink';
import type { ComparedPattern, LabelledPixels, PictureOptions, PredictedImage } from '../workers/compute.js';
import { ask, askLong, engine } from './engine.js';
import { densest, type Extra, picturesOf, sameExamples } from './model.js';
import { keepForLater } from './offline.js';
import { addAll, change, here, settled, type Target } from './profiles.js';
import {
  adapting,
  choice,
  classes,
  comparing,
  comparison,
  isAbort,
  messageOf,
  missing,
  notice,
  opened,
  people,
  person,
  personId,
  type QueryPicture,
  query,
  say,
} from './signals.js';

/** `?measure` in the address, for timing: every adaptation encodes all examples, and nothing is measured after it. */
const isTimed = new URLSearchParams(location.search).has('measure');

/** The pixels that the bundle sees of a picture; undefined, with a notice, where it cannot be read, and where another bundle is open. */
export async function readPicture(
  picture: Blob | ImageBitmap,
  options: PictureOptions = {},
  name = 'The picture',
  { bundle }: Target = here(),
): Promise<Uint8Array | undefined> {
  if (opened.value?.digest !== bundle) return undefined;
  try {
    const input = picture instanceof Blob ? picture : Comlink.transfer(picture, [picture]);
    const pixels = await ask((compute) => compute.pixels(input, options));
    return opened.value?.digest === bundle ? pixels : undefined;
  } catch (cause) {
    if (!isAbort(cause)) say('problem', `${name}: ${messageOf(cause).replace(/^picture: /, '')}`);
    return undefined;
  }
}

/** ms in which `auto` tries patterns; what it chooses is adapted to all examples after that. */
const BUDGET_MS = 15_000;

const examplesNow = (): LabelledPixels[] =>
  classes.value.flatMap(({ name, pictures }) =>
    pictures.map(({ id, pixels }) => ({ ...(isTimed ? {} : { id }), label: name, pixels })),
  );

export async function adapt(): Promise<void> {
  if (!person.value || !opened.value || missing.value !== undefined || adapting.value) return;
  const at = here();
  adapting.value = { id: at.id, step: 0, steps: undefined, losses: [] };
  // A pattern that was chosen a moment ago is still being written.
  await settled();
  const [now, open] = [person.value, opened.value];
  if (now?.id !== at.id || open?.digest !== at.bundle || missing.value !== undefined) {
    adapting.value = undefined;
    return;
  }
  const { pattern } = now.extra;
  const steps = open.manifest.patterns[pattern]?.steps;
  const request = { pattern, ...(pattern === AUTO ? { budgetMs: BUDGET_MS } : {}) };
  const losses: number[] = [];
  const examples = examplesNow();
  adapting.value = { id: at.id, step: 0, steps, losses };
  notice.value = undefined;
  const onStep = Comlink.proxy((step: number, loss: number) => {
    losses.push(loss);
    if (adapting.value) adapting.value = { id: at.id, step, steps, losses: [...losses] };
  });
  try {
    const result = await askLong((compute) => compute.adapt(examples, request, onStep));
    const { bytes, classes: names, milliseconds, ...told } = result;
    const backend = choice.value?.backend ?? 'wasm';
    const last = { ...told, ...milliseconds, examples: examples.length, backend };
    const written = await change(at, ({ extra: { isOlder: _, ...extra }, ...rest }) => ({
      ...rest,
      bytes,
      changed: new Date().toISOString(),
      // Classes may have changed meanwhile: what is stored belongs to the examples that were adapted to.
      extra: { ...extra, stale: extra.pattern !== pattern || !sameExamples(extra.classes, now.extra.classes), last },
    }));
    if (!written) {
      say('problem', `"${now.name}" was adapted, but is not there any more.`);
      return;
    }
    const whose = at.id === personId.value ? '' : ` It is "${written.name}".`;
    say('done', `Adapted to ${examples.length} examples of ${names.length} classes.${whose}`);
    void navigator.storage?.persist?.();
    // The pattern may have been fetched for this.
    void keepForLater();
  } catch (cause) {
    if (isAbort(cause)) say('done', now.bytes ? 'Cancelled. The profile is as it was.' : 'Cancelled.');
    else say('problem', `Adapting failed: ${messageOf(cause)}`);
    return;
  } finally {
    adapting.value = undefined;
  }
  await measureSpeedUp(at, examples);
}

const lastOf = (id: string): Extra['last'] => people.value.find((one) => one.id === id)?.extra.last;

/** What moving everything would have taken, measured once the profile is there. */
async function measureSpeedUp(at: Target, examples: readonly LabelledPixels[]): Promise<void> {
  const last = lastOf(at.id);
  const manifest = opened.value?.manifest;
  if (!last || !manifest || last.pattern === densest(manifest) || comparing.value || isTimed) return;
  try {
    const steps = last.auto || last.losses.length === 0 ? undefined : last.losses.length;
    const dense = await askLong((compute) => compute.measureDense(examples, steps));
    await change(at, (now) =>
      now.extra.last?.total === last.total ? { ...now, extra: { ...now.extra, last: { ...last, dense } } } : undefined,
    );
  } catch {
    // Only a figure: cancelled by the next adaptation, or the pattern could not be fetched without a network.
  }
}

export async function cancel(): Promise<void> {
  await engine.client?.cancel(engine.running);
}

// The picture at hand

let handedIn = 0;
/** The picture that was read last: the one shown, or about to be. */
let atHand: Omit<QueryPicture, 'prediction'> | undefined;
let asked = 0;

/**
 * Shows a picture and what the profile makes of it; nothing where there is none. Pictures take their turn when they are handed in: one
 * that is decoded later than its successor is not shown.
 */
export async function showPicture(
  picture?: Blob | Promise<ImageBitmap>,
  options?: PictureOptions,
  name?: string,
): Promise<void> {
  handedIn += 1;
  const id = handedIn;
  const pixels = picture && (await readPicture(await picture, options, name));
  if (id !== handedIn) return;
  atHand = pixels && { id, pixels };
  await predictAtHand();
}

/** Predicts the picture at hand, and shows both; what was asked for last is shown. */
async function predictAtHand(): Promise<void> {
  asked += 1;
  const turn = asked;
  const now = atHand;
  const prediction = now && (await predict(now.pixels));
  if (turn === asked) query.value = now && { ...now, ...(prediction ? { prediction } : {}) };
}

async function predict(pixels: Uint8Array): Promise<PredictedImage | undefined> {
  const bytes = person.value?.bytes;
  if (!bytes) return undefined;
  try {
    return (await ask((compute) => compute.predict(bytes, [pixels])))[0];
  } catch (cause) {
    if (!isAbort(cause)) say('problem', `Predicting failed: ${messageOf(cause)}`);
    return undefined;
  }
}

/** Predicts the picture at hand anew whenever another profile is shown, or the same one is adapted, here or in another tab. */
export function predictOnChange(): void {
  const learned = computed(() => person.value?.bytes);
  effect(() => {
    learned.value;
    personId.value;
    untracked(() => void predictAtHand());
  });
}

// Comparing

export async function compare(patterns: readonly string[]): Promise<void> {
  if (comparing.value || adapting.value) return;
  const { id } = here();
  const count = picturesOf(classes.value);
  let results: readonly ComparedPattern[] = [];
  comparison.value = { id, results, running: true };
  const onResult = Comlink.proxy((result: ComparedPattern) => {
    results = [...results, result];
    if (comparison.value?.id === id) comparison.value = { ...comparison.value, results };
  });
  const examples = examplesNow();
  try {
    await askLong((compute) => compute.compare(examples, patterns, onResult));
    say('done', `Compared ${patterns.length} patterns on ${count} examples.`);
  } catch (cause) {
    if (!isAbort(cause)) say('problem', `Comparing failed: ${messageOf(cause)}`);
  } finally {
    if (comparison.value?.id === id) comparison.value = { id, results, running: false };
  }
}

export type DemoKind = 'things' | 'characters';

/** Pictures to start with, of `things` or `characters`, drawn by openly licensed emoji sets and handwriting fonts. */
export async function addDemo(url: string, kind: DemoKind): Promise<void> {
  const at = here();
  const buffer = await engine.loader?.call((remote) => remote.readAsset(new URL(url, location.href).href));
  if (!buffer) return;
  const demo = JSON.parse(new TextDecoder().decode(buffer)) as Record<DemoKind, Record<string, string[]>>;
  const found: LabelledPixels[] = [];
  for (const [label, files] of Object.entries(demo[kind])) {
    for (const file of files) {
      const bytes = Uint8Array.from(atob(file), (character) => character.charCodeAt(0));
      const pixels = await readPicture(new Blob([bytes]), {}, label, at);
      if (pixels) found.push({ label, pixels });
    }
  }
  if (opened.value?.digest === at.bundle) await addAll(found, at);
}
