import { generatorFor } from '../data/random.js';
import { HEAD_SCALE } from '../pattern/gradient-graph.js';
import { type AdamState, adamState } from '../training/adam.js';
import { type Candidate, type Candidates, masksOfCandidates, openEntries } from './candidates.js';

/** A tensor that the outer loop learns. */
export interface LearnedSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: 'scale' | 'rate' | 'mask' | 'start';
}

/** What the outer loop has learned, by name, with its optimizer's state. */
export type Learned = ReadonlyMap<string, AdamState>;

export const rateName = (candidate: string): string => `rate/${candidate}`;
export const maskName = ({ mask }: Pick<Candidate, 'mask'>): string => `mask/${mask.name}`;
export const startName = (candidate: string): string => `start/${candidate}`;

/** What of logits that one weight or channel each stands for starts closed is half; the deviation that they start with. */
const DEVIATION = 0.1;

/**
 * What is learned of candidates: `head.scale [1]`, what the head's logits are multiplied by; `rate/<tensor> [1]`, the logarithm of its inner
 * rate; `mask/<name>`, logits, open from 0 on; `start/<tensor>` of those whose start is learned.
 */
export function learnedSpecs(candidates: Candidates): LearnedSpec[] {
  const { tensors, learned } = candidates;
  return [
    { name: HEAD_SCALE, shape: [1], kind: 'scale' },
    ...tensors.map(({ name }): LearnedSpec => ({ name: rateName(name), shape: [1], kind: 'rate' })),
    ...[...masksOfCandidates(candidates)].map(
      ([name, shape]): LearnedSpec => ({ name: `mask/${name}`, shape, kind: 'mask' }),
    ),
    ...tensors
      .filter(({ name }) => learned.has(name))
      .map(({ name, parameter }): LearnedSpec => ({ name: startName(name), shape: parameter.shape, kind: 'start' })),
  ];
}

/** Where the outer loop starts: rates at the inner rate; logits that stand for a whole tensor or block open. */
export function initialLearned(
  candidates: Candidates,
  settings: { readonly innerRate: number; readonly seed: number },
): Map<string, AdamState> {
  const starts = new Map(candidates.tensors.map(({ name, start }) => [startName(name), start]));
  const initialValue = ({ name, shape, kind }: LearnedSpec): Float32Array => {
    const length = shape.reduce((a, b) => a * b, 1);
    if (kind === 'scale') return Float32Array.of(1);
    if (kind === 'rate') return Float32Array.of(Math.log(settings.innerRate));
    if (kind === 'start') return (starts.get(name) as Float32Array).slice();
    const random = generatorFor(settings.seed, `initialize/${name}`, 0);
    return length === 1 ? Float32Array.of(DEVIATION) : Float32Array.from({ length }, () => DEVIATION * random.normal());
  };
  return new Map(learnedSpecs(candidates).map((spec) => [spec.name, adamState(initialValue(spec))]));
}

/** A candidate as a task finds it. */
export interface TaskTensor {
  readonly candidate: Candidate;
  readonly start: Float32Array;
  /** 1 for each entry that its mask leaves open. */
  readonly open: Uint8Array;
  /** How many are open. */
  readonly count: number;
  readonly rate: number;
}

const valueNamed = (learned: Learned, name: string): Float32Array => {
  const found = learned.get(name);
  if (!found) throw new Error(`nothing is learned that is called "${name}"`);
  return found.value;
};

function countOf(open: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < open.length; i++) count += open[i] as number;
  return count;
}

/** The candidates with what was learned of them, from the image upward. */
export function taskTensors({ tensors }: Candidates, learned: Learned): TaskTensor[] {
  return tensors.map((candidate) => {
    const { name } = candidate;
    const open = openEntries(valueNamed(learned, maskName(candidate)), candidate);
    return {
      candidate,
      start: learned.get(startName(name))?.value ?? candidate.start,
      open,
      count: countOf(open),
      rate: Math.exp(valueNamed(learned, rateName(name))[0] as number),
    };
  });
}

/** What the head's logits are multiplied by. */
export const headScale = (learned: Learned): number => valueNamed(learned, HEAD_SCALE)[0] as number;
