import { Tensor } from 'onnxruntime-common';
import { FAMILIAR } from './familiar-names.js';
import { findNotFinite } from './finite.js';
import { headObjective, momentsAt, prototypeObjective } from './objectives.js';
import type { Pattern } from './pattern.js';
import type { Profile, ProfileValue } from './profile.js';
import { askable, presentClasses, type Rows } from './rows.js';
import { canSolve, solvedHead } from './solve.js';
import { type KnownHead, meanHead, startHead } from './start-head.js';
import { notFinite, type Objective, type Stepped, takeSteps } from './take-steps.js';
import { dataOf, type TensorFeeds } from './tensors.js';
import type { AdaptOptions } from './types.js';

const knownHead = ({ values }: Profile): KnownHead => ({
  weight: values.get('head.weight') as ProfileValue,
  bias: values.get('head.bias') as ProfileValue,
  means: values.get(FAMILIAR.means),
});

export type StepsOptions = AdaptOptions & {
  readonly steps: number;
  readonly rate: number;
  /** Solves for the head of no steps, too. */
  readonly solves?: boolean;
  /** Where values below the head start, where that is not the bundle's start and the head is made of the rows all the same. */
  readonly startsAt?: Profile | undefined;
  /** Whether the head of a profile to go on from becomes mean directions, those of the examples counted in. */
  readonly means?: boolean;
};

/** Where the values below the head start: at the bundle's, or at those of a profile to go on from. */
export function startBelow(pattern: Pattern, from?: Profile): TensorFeeds {
  return Object.fromEntries(
    Array.from(pattern.start, ([name, start]) => {
      const { shape, data } = from?.values.get(name) ?? start;
      return [name, new Tensor('float32', data, shape)];
    }),
  );
}

/** The head of all rows, with given values below it. */
function headAt(
  pattern: Pattern,
  { encoded, labels, ways }: Rows,
  values: TensorFeeds,
  { from, means = false }: Pick<StepsOptions, 'from' | 'means'>,
): Promise<TensorFeeds> {
  if (from && means) {
    const of = { known: knownHead(from), counts: from.examples };
    return meanHead(pattern, encoded['features'] as Tensor, { rows: labels, ways }, values, of);
  }
  return startHead(pattern, encoded['features'] as Tensor, labels, ways, values, from && knownHead(from));
}

/** What steps led to, and whether the head is one in closed form. */
interface Reached extends Stepped {
  readonly solved: boolean;
}

/** Whether only the head moves. */
export const movesHeadAlone = ({ start }: Pattern): boolean => start.size === 0;

/**
 * Steps end with a head in closed form where the bundle has one, of all the classes that there are, unless a head moved with what is
 * below it.
 */
export const endsSolved = (pattern: Pattern, rows: Rows, { from, steps, solves = false }: StepsOptions): boolean =>
  canSolve(pattern, rows) &&
  !from &&
  (solves || (steps > 0 && (pattern.manifest.objective === 'prototypes' || movesHeadAlone(pattern))));

/** What steps led to, pulled back to where they started by as much of the way as is asked for. */
async function anchored(
  stepped: Stepped,
  objective: Objective,
  start: TensorFeeds,
  { anchor = 0 }: AdaptOptions,
): Promise<Stepped> {
  if (anchor === 0 || stepped.losses.length === 0) return stepped;
  const values = Object.fromEntries(
    Object.entries(stepped.values).map(([name, value]) => {
      const [data, from] = [dataOf(value).slice(), dataOf(start[name])];
      for (let i = 0; i < data.length; i++) {
        data[i] = (data[i] as number) + anchor * ((from[i] as number) - (data[i] as number));
      }
      return [name, new Tensor('float32', data, value.dims)];
    }),
  );
  return { ...stepped, values, loss: await objective.lossAt(values) };
}

/** Steps of the head; none where it is known in closed form where they would lead. */
async function stepHead(pattern: Pattern, rows: Rows, options: StepsOptions): Promise<Reached> {
  const below = startBelow(pattern, options.startsAt ?? options.from);
  if (endsSolved(pattern, rows, options)) {
    const values = { ...below, ...(await solvedHead(pattern, rows, below)) };
    return { values, losses: [], loss: undefined, halved: 0, solved: true };
  }
  const head = await headAt(pattern, rows, below, options);
  const objective = headObjective(pattern, rows);
  const start = { ...below, ...head };
  const stepped = await takeSteps(pattern, objective, start, options);
  return { ...(await anchored(stepped, objective, start, options)), solved: false };
}

/** Steps of what is below the head, which follows from where they end. */
async function stepPrototypes(pattern: Pattern, rows: Rows, options: StepsOptions): Promise<Reached> {
  const queries = askable(rows);
  // With nothing to be asked about there is no loss.
  const steps = queries.includes(1) ? options.steps : 0;
  const objective = prototypeObjective(pattern, presentClasses(rows), queries);
  const below = startBelow(pattern, options.startsAt ?? options.from);
  const free = await takeSteps(pattern, objective, below, { ...options, steps });
  const stepped = await anchored(free, objective, below, options);
  const solved = endsSolved(pattern, rows, options);
  const head = solved
    ? await solvedHead(pattern, rows, stepped.values)
    : await headAt(pattern, rows, stepped.values, options);
  return { ...stepped, values: { ...stepped.values, ...head }, solved };
}

export interface AdaptedValues extends Omit<Reached, 'values'> {
  /** What a profile stores. */
  readonly values: Map<string, ProfileValue>;
}

/**
 * The inner loop: starts the head from the support features, or where `from` ended, then takes `steps` gradient steps, and solves for the
 * head where the bundle has a graph for that. Under `support` normalization the moments follow, at the values after the last step; those of the frozen part come with the rows.
 */
export async function adaptPattern(pattern: Pattern, rows: Rows, options: StepsOptions): Promise<AdaptedValues> {
  options.signal?.throwIfAborted();
  const step = pattern.manifest.objective === 'prototypes' ? stepPrototypes : stepHead;
  const stepped = await step(pattern, rows, options);
  const observed = { ...rows.encoded, ...(await momentsAt(pattern, rows.encoded, stepped.values)) };
  options.signal?.throwIfAborted();
  const values = new Map<string, ProfileValue>();
  const keep = (name: string, { dims, data }: Tensor) => {
    const stored = (data as Float32Array).slice();
    const bad = findNotFinite(stored);
    if (bad >= 0) throw notFinite(`${stored[bad]} in "${name}"`);
    values.set(name, { shape: dims, data: stored });
  };
  for (const [name, value] of Object.entries(stepped.values)) keep(name, value);
  for (const name of [...pattern.moments.frozen.keys(), ...pattern.moments.moving.keys()]) {
    keep(name, observed[name] as Tensor);
  }
  return { ...stepped, values };
}
