import type { Candidates } from './candidates.js';
import { type Learned, taskTensors } from './learned.js';

/** What masks leave open of a block of candidates. */
export interface OpenBlock {
  /** The last one below the head is 1. */
  readonly block: number;
  readonly open: number;
  readonly entries: number;
  /** By how much the first step moves each of its open entries: the mean over its tensors, by their entries. */
  readonly rate: number;
}

/** What masks leave open of a candidate. */
export interface OpenTensor {
  readonly name: string;
  readonly block: number;
  readonly open: number;
  readonly entries: number;
  /** By how much the first step moves each of its open entries. */
  readonly rate: number;
}

/** What masks leave open, by tensor from the image upward. */
export const openTensors = (candidates: Candidates, learned: Learned): OpenTensor[] =>
  taskTensors(candidates, learned).map(({ candidate, count, rate }) => ({
    name: candidate.parameter.tensor,
    block: candidate.block,
    open: count,
    entries: candidate.start.length,
    rate,
  }));

/** What masks leave open, by block from the image upward. */
export function openBlocks(tensors: readonly OpenTensor[]): OpenBlock[] {
  const found = new Map<number, { open: number; entries: number; rate: number }>();
  for (const { block, open, entries, rate } of tensors) {
    const sum = found.get(block) ?? { open: 0, entries: 0, rate: 0 };
    found.set(block, {
      open: sum.open + open,
      entries: sum.entries + entries,
      rate: (sum.rate * sum.entries + rate * entries) / (sum.entries + entries),
    });
  }
  return [...found].map(([block, each]) => ({ block, ...each }));
}

/** Share of all candidates that masks close, 0..1. */
export function closedShare(tensors: readonly Pick<OpenTensor, 'open' | 'entries'>[]): number {
  const [open, all] = tensors.reduce(([a, b], { open, entries }) => [a + open, b + entries], [0, 0]);
  return 1 - open / all;
}
