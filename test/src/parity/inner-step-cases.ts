import { fileURLToPath } from 'node:url';
import { GraphBuilder, makeTensor, matrixTranspose, type Tensor } from '@whet/compiler';
import type { ObjectiveName, OptimizerName } from '@whet/runtime/format';
import { expect } from 'vitest';
import { exampleHeads } from '../../../trainer/src/compile/start-heads.js';
import { type CompiledPattern, compilePattern } from '../../../trainer/src/pattern/compile-pattern.js';
import { decodeReference, type EncodedTensor, readReference, relativeError } from './reference.js';

type Named = Readonly<Record<string, EncodedTensor>>;
type HeadName = 'cosine' | 'prototype';

interface Case {
  readonly objective: ObjectiveName;
  readonly head: HeadName;
  readonly optimizer: OptimizerName;
  readonly rate: number;
  readonly smoothing: number;
  readonly decay: number;
  /** Whether each entry moves by a multiple of the rate. */
  readonly learned: boolean;
  /** Before each step and after the last one. */
  readonly losses: readonly number[];
  /** After the last step. */
  readonly values: Named;
  /** Of the examples, after the last step. */
  readonly probabilities: EncodedTensor;
}

interface Reference extends Record<'images' | 'labels' | 'support' | 'queries' | 'weight', EncodedTensor> {
  readonly multiples: Named;
  /** The head, and left-out logits, before any step. */
  readonly start: Readonly<Record<HeadName, Named>>;
  readonly cases: readonly Case[];
}

const reference = readReference<Reference>(fileURLToPath(new URL('../../reference/inner-steps.json', import.meta.url)));
const weight = decodeReference(reference.weight);

export const images = decodeReference(reference.images);
export const support = decodeReference(reference.support);
export const queries = decodeReference(reference.queries);
/** The class of each image. */
export const labels = Int32Array.from(decodeReference(reference.labels).data);
export const ways = Math.max(...labels) + 1;

export const float32s = ({ data }: Pick<Tensor, 'data'>): Float32Array => Float32Array.from(data as Float64Array);

/** A matrix that moves, below a head that is made of the examples. */
function graphsOf({ objective, head, optimizer, smoothing, decay, learned }: Case): CompiledPattern {
  const g = new GraphBuilder();
  const [x, w] = [g.input('images', ['N', ...images.shape.slice(1)]), g.input('weight', weight.shape)];
  const features = g.apply('MatMul', [x, matrixTranspose(g, w)], {});
  const rates = Object.entries(reference.multiples).map(([name, value]) => {
    const all = float32s(decodeReference(value));
    // One for all classes.
    return [name, name === 'head.bias' ? all.slice(0, 1) : all] as const;
  });
  return compilePattern({
    features: { name: 'features', inputs: [x, w], outputs: new Map([['features', features]]) },
    featureLength: weight.shape[0] as number,
    ...exampleHeads[head],
    objective,
    optimizer,
    smoothing,
    ...(decay > 0 ? { decay: { by: decay, starts: new Map([['weight', float32s(weight)]]) } } : {}),
    ...(learned ? { rates: new Map(rates) } : {}),
  });
}

function titleOf({ optimizer, head, objective, learned, decay }: Case): string {
  const further = `${learned ? ', learned rates' : ''}${decay > 0 ? ', smoothing and decay' : ''}`;
  return `${optimizer}, ${head} head, objective ${objective}${further}`;
}

/** Values below the head, and of the objective `head` its rows. */
function startOf({ objective, head }: Case): Map<string, Tensor> {
  const rows = Object.entries(reference.start[head]).filter(([name]) => objective === 'head' && name !== 'logits');
  return new Map([['weight', weight], ...rows.map(([name, value]) => [name, decodeReference(value)] as const)]);
}

export const cases = reference.cases.map((one) => ({
  ...one,
  title: titleOf(one),
  graphs: graphsOf(one),
  start: startOf(one),
}));
export type StepCase = (typeof cases)[number];

/** Both heads before any step. */
export const starts = (['cosine', 'prototype'] as const).map((head) => {
  const { graphs } = cases.find((one) => one.head === head) as StepCase;
  return { head, graphs, values: new Map<string, Tensor>([['weight', weight]]), wanted: reference.start[head] };
});

/** Numbers that came out, by the names of the reference. */
export type Came = Readonly<Record<string, ArrayLike<number>>>;

/** Compares all that the reference has. */
export function expectTensors(wanted: Named, came: Came, tolerance: number): void {
  for (const [name, want] of Object.entries(wanted))
    expect(relativeError(came[name] ?? [], decodeReference(want).data), name).toBeLessThan(tolerance);
}

export function expectCase({ losses, values, probabilities }: StepCase, came: Came, tolerance: number): void {
  expect(relativeError(came['losses'] ?? [], losses), 'losses').toBeLessThan(tolerance);
  expectTensors({ ...values, probabilities }, came, tolerance);
}

/** One-hot labels `[N, W]`. */
export const labelTensor = (): Tensor => {
  const rows = [...labels].flatMap((label) => Array.from({ length: ways }, (_, way) => Number(way === label)));
  return makeTensor([labels.length, ways], rows);
};
