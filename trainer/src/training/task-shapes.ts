import type { EpisodeShape } from '../data/draw.js';
import type { RunConfig } from './config.js';

/** How large a task is; its classes arrive in `stages` groups of one size. */
export interface StagedShape extends EpisodeShape {
  readonly stages: number;
}

/** The shapes that a run's outer steps go round. */
export function trainingShapes({ ways, shots, queries, stream }: RunConfig): StagedShape[] {
  const numbers = stream?.stages ?? [1];
  return numbers.flatMap((stages) => shots.map((each) => ({ ways: stages * ways, shots: each, queries, stages })));
}

/** That of a run's validation tasks. */
export function validationShape({ validation, stream }: RunConfig): StagedShape {
  const { ways, shots, queries } = validation;
  const stages = stream ? (validation.stages ?? Math.max(...stream.stages)) : 1;
  return { ways: stages * ways, shots, queries, stages };
}
