import type { Candidates } from './candidates.js';
import { type Learned, taskTensors } from './learned.js';

/** What masks leave open of a block of candidates. */
export interface OpenBlock {
  /** The last one below the head is 1. */
  readonly block: number;
  readonly open: number;
  readonly entries: number;
  /** By how much a step moves its open entries, in root mean square: the mean over its tensors, by their entries. */
  readonly rate: number;
}

/** What masks leave open, by block from the image upward. */
export function openBlocks(candidates: Candidates, learned: Learned): OpenBlock[] {
  const found = new Map<number, { open: number; entries: number; rate: number }>();
  for (const { candidate, count, rate } of taskTensors(candidates, learned)) {
    const block = found.get(candidate.block) ?? { open: 0, entries: 0, rate: 0 };
    const entries = candidate.start.length;
    found.set(candidate.block, {
      open: block.open + count,
      entries: block.entries + entries,
      rate: (block.rate * block.entries + rate * entries) / (block.entries + entries),
    });
  }
  return [...found].map(([block, each]) => ({ block, ...each }));
}

/** Share of all candidates that masks close, 0..1. */
export function closedShare(blocks: readonly OpenBlock[]): number {
  const [open, all] = blocks.reduce(([a, b], { open, entries }) => [a + open, b + entries], [0, 0]);
  return 1 - open / all;
}
