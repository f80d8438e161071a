import { createHash } from 'node:crypto';
import type { Checkpoint, PatternSpec, SearchRecord } from '@whet/trainer';
import { InvalidArgumentError } from 'commander';
import { pointsOf } from './format.js';
import { readNamedFile } from './named-file.js';

/** For `--pattern <name>=<list>`, several times. `example` is what an error shows. */
export function namedLists(example: string) {
  return (text: string, previous: Map<string, string[]> | undefined): Map<string, string[]> => {
    const [, name, list] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
    if (!name || !list) throw new InvalidArgumentError(`expected ${example}.`);
    if (previous?.has(name)) throw new InvalidArgumentError(`pattern "${name}" is given twice.`);
    return new Map(previous).set(name, list.split(','));
  };
}

/** The name under which a bundle has what a search found. */
export const SEARCHED = 'fast';

export interface ChosenPatterns {
  readonly patterns: readonly PatternSpec[];
  /** What a search chose, and the figures to keep with a bundle. */
  readonly found?: { readonly name: string; readonly summary: object };
}

export interface PatternOptions {
  readonly patterns?: readonly string[] | undefined;
  readonly pattern?: ReadonlyMap<string, readonly string[]> | undefined;
  readonly views?: boolean | undefined;
  readonly search?: string | undefined;
}

/**
 * The patterns to export: those of every network, or of them the named ones; choices of layers beside them; and what a
 * search of this checkpoint found. Throws naming the option that does not fit.
 */
export async function choosePatterns(
  path: string,
  checkpoint: Checkpoint,
  { patterns: wanted, pattern = new Map(), views, search }: PatternOptions,
): Promise<ChosenPatterns> {
  const { layerPattern, patternsOf, viewsPattern } = await import('@whet/trainer');
  const known = patternsOf(checkpoint);
  const missing = (wanted ?? []).filter((name) => !known.some((spec) => spec.name === name));
  if (missing.length > 0) {
    const names = known.map(({ name }) => name).join(', ');
    throw new Error(`--patterns: the checkpoint has no pattern "${missing.join('", "')}"; expected of ${names}`);
  }
  const specs = known.filter(({ name }) => !wanted || wanted.includes(name));
  const add = (spec: PatternSpec) => {
    if (specs.some(({ name }) => name === spec.name)) {
      throw new Error(`there is a pattern "${spec.name}" already; expected another name`);
    }
    specs.push(spec);
  };
  for (const [name, layers] of pattern) {
    try {
      add(layerPattern(checkpoint, name, layers));
    } catch (cause) {
      throw new Error(`--pattern ${name}=${layers.join(',')}: ${(cause as Error).message}`, { cause });
    }
  }
  if (views) add(viewsPattern);
  if (!search) return { patterns: specs };
  const { settings, outcome } = await searchOf(search, path);
  const result = outcome.results.find(({ name }) => name === outcome.chosen) as (typeof outcome.results)[number];
  const { ways, shots, steps } = settings;
  const compared = outcome.reference === outcome.dense ? 'the dense pattern' : 'the most accurate pattern';
  const description =
    `Moves ${result.layers.join(', ')}: the fastest within ${pointsOf(outcome.budget)} of ${compared} on ${outcome.tasks} ` +
    `validation tasks, ${ways}-way ${shots}-shot (whet search).`;
  add(layerPattern(checkpoint, SEARCHED, result.layers, { steps, rate: result.rate, description }));
  const { tasks, budget, reference } = outcome;
  return {
    patterns: specs,
    found: { name: SEARCHED, summary: { settings, tasks, budget, reference, chosen: result } },
  };
}

/** A search file that has come to an outcome, of the checkpoint at `path`. */
async function searchOf(file: string, path: string) {
  const { readSearch, SearchError } = await import('@whet/trainer');
  const record: SearchRecord | undefined = await readSearch(file);
  if (!record) throw new SearchError(`--search ${file}: expected search.json of \`whet search\`, got no such file`);
  const { settings, outcome } = record;
  if (!outcome) throw new SearchError(`--search ${file}: the search was stopped before it came to an outcome`);
  const digest = createHash('sha256')
    .update(await readNamedFile(path, 'a checkpoint'))
    .digest('hex');
  if (settings.checkpoint !== digest) {
    const [got, expected] = [settings.checkpoint, digest].map((each) => each.slice(0, 12));
    throw new SearchError(
      `--search ${file}: is of another checkpoint: expected SHA-256 ${expected}... (${path}), got ${got}...`,
    );
  }
  return { settings, outcome };
}
