import * as Comlink from 'comlink';
import { t } from '../messages/index.js';
import type { ComparedPattern } from '../workers/hold-back.js';
import { askLong, engine } from './engine.js';
import { addAll, type NamedPictures } from './examples.js';
import { examplesNow } from './learning.js';
import { readPicture } from './looking.js';
import { change, here } from './profiles.js';
import { comparing, comparison, isAbort, opened, person, say, sayProblem } from './signals.js';

// What an engineer asks for, and pictures to start with.

/** Ends what was asked for last. */
export async function cancel(): Promise<void> {
  await engine.client?.cancel(engine.running);
}

export async function compare(patterns: readonly string[]): Promise<void> {
  if (comparing.value) return;
  const { id } = here();
  let results: readonly ComparedPattern[] = [];
  // First what is being learned ends.
  comparison.value = { id, results, running: true };
  const onResult = Comlink.proxy((result: ComparedPattern) => {
    results = [...results, result];
    if (comparison.value?.id === id) comparison.value = { ...comparison.value, results };
  });
  const examples = examplesNow();
  try {
    await askLong((compute) => compute.compare(examples, patterns, onResult));
    say('done', t().engineers.compared(patterns.length, examples.length));
  } catch (cause) {
    if (!isAbort(cause)) sayProblem(t().engineers.comparingFailed, cause);
  } finally {
    if (comparison.value?.id === id) comparison.value = { id, results, running: false };
  }
}

/** Measures what moving everything would have taken. */
export async function measureSpeedUp(): Promise<void> {
  const at = here();
  const last = person.value?.extra.last;
  if (!last) return;
  try {
    const steps = last.auto || last.losses.length === 0 ? undefined : last.losses.length;
    const examples = examplesNow();
    const dense = await askLong((compute) => compute.measureDense(examples, steps));
    await change(at, (now) =>
      now.extra.last?.total === last.total ? { ...now, extra: { ...now.extra, last: { ...last, dense } } } : undefined,
    );
  } catch (cause) {
    if (!isAbort(cause)) sayProblem(t().engineers.measuringFailed, cause);
  }
}

type DemoKind = 'things' | 'characters';

/** Pictures to start with, of `things` or `characters`, drawn by openly licensed emoji sets and handwriting fonts. */
export async function addDemo(url: string, kind: DemoKind): Promise<void> {
  const at = here();
  const buffer = await engine.loader?.call((remote) => remote.readAsset(new URL(url, location.href).href));
  if (!buffer) return;
  const demo = JSON.parse(new TextDecoder().decode(buffer)) as Record<DemoKind, Record<string, string[]>>;
  const found: NamedPictures[] = [];
  for (const [name, files] of Object.entries(demo[kind])) {
    const pixels: Uint8Array[] = [];
    for (const file of files) {
      const bytes = Uint8Array.from(atob(file), (character) => character.charCodeAt(0));
      const seen = await readPicture(new Blob([bytes]), {}, name, at);
      if (seen) pixels.push(seen);
    }
    if (pixels.length > 0) found.push({ name, pixels });
  }
  if (opened.value?.digest === at.bundle) await addAll(found, at);
}
