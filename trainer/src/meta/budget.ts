import type { Backend, Tensor } from '@whet/compiler';
import { CompileError } from '../compile/read/compile-error.js';
import type { SourceModel } from '../compile/read/read-model.js';
import { median } from '../statistics.js';
import { type CandidateOptions, type Candidates, chooseCandidates } from './candidates.js';
import { type EncodedTask, walkTask } from './in-turns.js';
import { initialLearned } from './learned.js';
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
        await walkTask({ graph, answers: graph, candidates, learned }, task, steps, 'answers');
        if (run > 0) times.push(performance.now() - from);
      }
    } finally {
      await graph.release();
      await prefix.release();
    }
    return median(times);
  };
}

/**
 * The deepest block that may move within a budget: blocks are tried from the head down, until one takes longer. Throws {@link CompileError}
 * where none is within it.
 */
export async function deepestWithin(
  model: SourceModel,
  options: CandidateOptions,
  { budgetMs, steps, time }: { readonly budgetMs: number; readonly steps: number; readonly time: TimeCandidates },
): Promise<{ readonly deepest: number; readonly milliseconds: number }> {
  const all = chooseCandidates(model, options);
  const depths = [...new Set(all.tensors.map(({ block }) => block))].sort((a, b) => a - b);
  let found: { deepest: number; milliseconds: number } | undefined;
  for (const deepest of depths) {
    const milliseconds = await time(chooseCandidates(model, { ...options, learnWeights: undefined, deepest }), steps);
    if (milliseconds > budgetMs) {
      if (found) return found;
      throw new CompileError(
        `budget of ${budgetMs} ms: expected a block within it, got ${Math.round(milliseconds)} ms for the last one ` +
          `(${steps} steps on 25 images, encoding included)`,
      );
    }
    found = { deepest, milliseconds };
  }
  return found as { deepest: number; milliseconds: number };
}
