import type { AdaptResult, Bundle, Example } from '@whet/runtime';
import { generatorFor } from '../data/random.js';
import { median, quantile } from '../statistics.js';
import type { BenchBackendName } from './backends.js';
import type { Floor } from './floor.js';
import type { BenchResult, Timing } from './record.js';

/** A pattern of a bundle that is loaded into a runtime. */
export interface Contender {
  /** What the results call the bundle. */
  readonly label: string;
  readonly backend: BenchBackendName;
  readonly bundle: Bundle;
  readonly pattern: string;
  readonly floor?: Floor | undefined;
}

export interface TimeOptions {
  readonly contenders: readonly Contender[];
  readonly ways: number;
  readonly shots: number;
  /** Each pattern's own when absent. */
  readonly steps?: number | undefined;
  /** Timed runs of each contender, after three to warm up. */
  readonly runs: number;
  /** Runs done, those to warm up included. */
  readonly onRun?: (run: number) => void;
  /** Ends the timing early; what was timed until then is returned. */
  readonly signal?: AbortSignal;
}

export interface Timed {
  /** One of each contender that ran, in their order. */
  readonly results: BenchResult[];
  /** Contenders that failed, with what they threw. */
  readonly failed: ReadonlyMap<Contender, unknown>;
}

/** Runs of each contender before the first that is timed. */
export const WARM_UP = 3;

/** Labelled noise, `shots` images of each of `ways` classes: arithmetic does not depend on the pixels. */
export function noiseExamples(bundle: Bundle, ways: number, shots: number): Example[] {
  const random = generatorFor(0, 'bench', 0);
  return Array.from({ length: ways * shots }, (_, i) => ({
    label: `class ${i % ways}`,
    image: Float32Array.from({ length: bundle.imageLength }, () => random.uniform()),
  }));
}

/** The loss before each step, and after the last. */
export const lossesOf = ({ losses, loss }: Pick<AdaptResult, 'losses' | 'loss'>): number[] =>
  loss === undefined ? [...losses] : [...losses, loss];

interface Samples {
  readonly encode: number[];
  readonly step: number[];
  readonly adapt: number[];
  readonly processor: number[];
  readonly losses: readonly number[];
  readonly predict: number[];
  readonly floor: number[];
  readonly steps: number;
  readonly stored: number;
  readonly headWeights: number;
}

const timing = (values: readonly number[]): Timing => ({
  median: median(values),
  p25: quantile(values, 0.25),
  p75: quantile(values, 0.75),
  p95: quantile(values, 0.95),
});

/**
 * Times adaptation and prediction of every contender, and its floor. Their runs are interleaved, so that a slow moment of the
 * machine meets all of them alike. A contender that fails is left out and reported; the others go on.
 */
export async function timePatterns(options: TimeOptions): Promise<Timed> {
  const { contenders, ways, shots, steps, runs, onRun, signal } = options;
  const examples = new Map(contenders.map(({ bundle }) => [bundle, noiseExamples(bundle, ways, shots)]));
  const samples = new Map<Contender, Samples>();
  const failed = new Map<Contender, unknown>();
  const adaptOptions = { always: true, ...(steps !== undefined && { steps }), ...(signal && { signal }) };
  for (let run = 0; run < WARM_UP + runs && !signal?.aborted; run++) {
    for (const contender of contenders) {
      if (signal?.aborted) break;
      if (failed.has(contender)) continue;
      const { bundle, pattern, floor } = contender;
      const support = examples.get(bundle) as Example[];
      try {
        const used = process.cpuUsage();
        const adapted = await bundle.adapt(support, { ...adaptOptions, pattern });
        const { user, system } = process.cpuUsage(used);
        const { profile, milliseconds } = adapted;
        const began = performance.now();
        await bundle.predict(profile, [(support[0] as Example).image]);
        const predict = performance.now() - began;
        const least = await floor?.measure();
        if (run < WARM_UP) continue;
        const head = ['head.weight', 'head.bias'].map((name) => profile.values.get(name)?.data.length ?? 0);
        const own = samples.get(contender) ?? {
          ...{ encode: [], step: [], adapt: [], processor: [], predict: [], floor: [] },
          losses: lossesOf(adapted),
          steps: profile.steps,
          stored: profile.byteLength,
          headWeights: head.reduce((a, b) => a + b),
        };
        samples.set(contender, own);
        own.encode.push(milliseconds.encode);
        own.step.push(milliseconds.steps / Math.max(1, profile.steps));
        own.adapt.push(milliseconds.total);
        own.processor.push((user + system) / 1000);
        own.predict.push(predict);
        if (least !== undefined) own.floor.push(least);
      } catch (error) {
        if (!signal?.aborted) failed.set(contender, error);
      }
    }
    onRun?.(run + 1);
  }
  const finished = contenders.filter((each) => samples.has(each) && !failed.has(each));
  const adaptMedian = (each: Contender) => median(samples.get(each)?.adapt ?? []);
  const results = finished.map((contender): BenchResult => {
    const { label, backend, bundle, pattern } = contender;
    const own = samples.get(contender) as Samples;
    const dense = finished.find(
      (each) => each.bundle === bundle && each.backend === backend && movesEverything(bundle, each.pattern),
    );
    const weights = bundle.manifest.patterns[pattern]?.moving ?? [];
    return {
      ...{ bundle: label, backend, pattern, ways, shots, steps: own.steps },
      runs: own.adapt.length,
      movingWeights: weights.reduce((sum, weight) => sum + weight.moving, own.headWeights),
      storedBytes: own.stored,
      encode: timing(own.encode),
      step: timing(own.step),
      adapt: timing(own.adapt),
      processor: timing(own.processor),
      losses: [...own.losses],
      predict: timing(own.predict),
      speedUp: dense ? adaptMedian(dense) / adaptMedian(contender) : null,
      floor: own.floor.length > 0 ? timing(own.floor) : null,
      peakBytes: null,
      accuracy: null,
    };
  });
  return { results, failed };
}

/**
 * Whether a pattern is dense MAML: nothing is cached, and every entry moves of every weight that any pattern of the
 * bundle moves.
 */
export function movesEverything({ manifest }: Pick<Bundle, 'manifest'>, name: string): boolean {
  const pattern = manifest.patterns[name];
  if (!pattern || pattern.graphs.encode !== null) return false;
  const whole = new Set(pattern.moving.filter((each) => each.moving === each.entries).map((each) => each.name));
  return Object.values(manifest.patterns).every(({ moving }) => moving.every((each) => whole.has(each.name)));
}
