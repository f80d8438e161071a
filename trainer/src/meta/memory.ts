import { stepMemory } from '../bundle/files.js';
import { movingSource } from '../compile/compile-moving.js';
import type { SourceModel } from '../compile/read/read-model.js';
import { compilePattern } from '../pattern/compile-pattern.js';
import type { Candidates } from './candidates.js';

/** Bytes that a step on 25 examples of 5 classes holds at once where all candidates move, as `stepMemory` of a bundle counts them. */
export function stepBytes(model: SourceModel, { tensors }: Pick<Candidates, 'tensors'>): number {
  const moving = tensors.map(({ parameter }) => parameter);
  const { source } = movingSource(model, undefined, moving, {
    head: 'cosine',
    optimizer: 'adam',
    objective: 'prototypes',
  });
  return stepMemory(compilePattern(source).step).peakActivationBytes;
}

/** The numbers of blocks that may move, from the head down. */
export const depthsOf = ({ tensors }: Candidates): number[] =>
  [...new Set(tensors.map(({ block }) => block))].sort((a, b) => a - b);

/** Of each block that may move, from the head down, the {@link stepBytes} of a step in which it and those above it move. */
export function bytesByDepth(model: SourceModel, candidates: Candidates): Map<number, number> {
  return new Map(
    depthsOf(candidates).map((deepest) => {
      const tensors = candidates.tensors.filter(({ block }) => block <= deepest);
      return [deepest, stepBytes(model, { tensors })];
    }),
  );
}
