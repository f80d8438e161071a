import type { Backend, Tensor } from '@whet/compiler';
import { CompileError } from '../compile/read/compile-error.js';
import type { SourceModel } from '../compile/read/read-model.js';
import { median } from '../statistics.js';
import { type CandidateOptions, type Candidates, chooseCandidates } from './candidates.js';
import { type EncodedTask, walkTask } from './in-turns.js';
import { initialLearned } from './learned.js';
import { depthsOf, stepBytes } from './memory.js';
import { modelGraphs } from './model-graphs.js';
import { openPrefix } from './prefix.js';

/** Examples that a budget is for: 5 classes of 5. */
const [WAYS, SHOTS] = [5, 5];
const RUNS = 3;

/** Milliseconds to encode 25 images and to take steps in which all candidates move. */
export type TimeCandidates = (candidates: Candidates, steps: number) => Promise<number>;

/** `TimeCandidates` on a backend: the median of three, after one that warms up. */
export function timeOn(model: SourceModel, backend: Backend, threads?: number): TimeCandidates {
  return async (candidates, steps) => {
    const { prefix: bytes, gradient, features } = await modelGraphs(model, candidates);
    const prefix = await openPrefix(bytes, model.input.shape, features, threads);
    const graph = await backend.compile(gradient);
    const learned = initialLearned(candidates, { innerRate: 1e-6, seed: 0 });
    const length = model.input.shape.reduce((a, b) => a * b, 1);
    const images = Array.from({ length: WAYS * SHOTS }, (_, n) =>
      Float32Array.from({ length }, (_, i) => Math.sin(0.37 * i + n) / 2),
    );
    const labels = Int32Array.from(images, (_, i) => Math.floor(i / SHOTS));
    const one = (rows: Tensor): EncodedTask => ({
      ways: WAYS,
      support: { features: rows, labels },
      isPrototype: new Float32Array(labels.length).fill(1),
      query: { features: rows, labels },
    });
    const times: number[] = [];
    try {
      for (let run = 0; run <= RUNS; run++) {
        const from = performance.now();
        const task = one(await prefix.encode(images));
        // Its last run asks about as many images again, as a step does.
        await walkTask({ graph, answers: graph, candidates, learned, smoothing: 0 }, task, steps, 'answers');
        if (run > 0) times.push(performance.now() - from);
      }
    } finally {
      await graph.release();
      await prefix.release();
    }
    return median(times);
  };
}

/** What a device can spare, and what of it candidates need. */
export interface DepthBudget {
  readonly limit: number;
  readonly unit: 'ms' | 'MB';
  /** What is measured, in an error's words. */
  readonly of: string;
  /** Of candidates that all move, in the unit of the limit. */
  readonly needed: (candidates: Candidates) => number | Promise<number>;
}

/** Milliseconds to adapt to 25 images in so many steps. */
export const timeBudget = (limit: number, steps: number, time: TimeCandidates): DepthBudget => ({
  limit,
  unit: 'ms',
  of: `${steps} steps on ${WAYS * SHOTS} images, encoding included`,
  needed: (candidates) => time(candidates, steps),
});

/** Megabytes that a step on 25 images holds at once, as bundles say it. */
export const memoryBudget = (limit: number, model: SourceModel): DepthBudget => ({
  limit,
  unit: 'MB',
  of: `what a step on ${WAYS * SHOTS} images holds at once`,
  needed: (candidates) => stepBytes(model, candidates) / 1e6,
});

/** A number above a limit, in whole numbers where that shows it, else with as many digits as tell them apart. */
function shown(got: number, limit: number): string {
  for (let digits = 0; digits < 6; digits++) {
    const text = got.toFixed(digits);
    if (Number(text) > limit) return text;
  }
  return String(got);
}

/**
 * The deepest block that may move within all budgets: blocks are tried from the head down, until one needs more. Throws {@link CompileError}
 * where none is within them.
 */
export async function deepestWithin(
  model: SourceModel,
  options: CandidateOptions,
  budgets: readonly DepthBudget[],
): Promise<number> {
  let found: number | undefined;
  for (const deepest of depthsOf(chooseCandidates(model, options))) {
    const candidates = chooseCandidates(model, { ...options, learnWeights: undefined, deepest });
    for (const { limit, unit, of, needed } of budgets) {
      const got = await needed(candidates);
      if (got <= limit) continue;
      if (found !== undefined) return found;
      throw new CompileError(
        `budget of ${limit} ${unit}: expected a block within it, got ${shown(got, limit)} ${unit} for the last one (${of})`,
      );
    }
    found = deepest;
  }
  return found as number;
}
