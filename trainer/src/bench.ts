import type { Bundle, Example } from '@whet/runtime';
import { generatorFor } from './data/random.js';
import { median, quantile } from './measure.js';

/** Milliseconds. */
export interface Timing {
  readonly median: number;
  readonly p95: number;
}

export interface BenchResult {
  readonly pattern: string;
  readonly ways: number;
  readonly shots: number;
  readonly steps: number;
  readonly runs: number;
  /** Moving weights below the head, and the head's. */
  readonly movingWeights: number;
  readonly storedBytes: number;
  readonly encode: Timing;
  /** One inner step: the inner loop's time over its steps, the head's start included. */
  readonly step: Timing;
  readonly adapt: Timing;
  readonly predict: Timing;
  /** Median time to adapt of the pattern that moves most, over this one's. */
  readonly speedUp: number;
}

export interface BenchOptions {
  readonly bundle: Bundle;
  readonly ways: number;
  readonly shots: number;
  readonly steps: number;
  readonly runs: number;
  readonly onRun?: (run: number) => void;
}

const WARM_UP = 3;

/**
 * Times adaptation and prediction of every pattern. Runs of the patterns are interleaved, so that a slow moment of the
 * machine meets all of them alike; arithmetic does not depend on the pixels, so the images are noise.
 */
export async function benchBundle({ bundle, ways, shots, steps, runs, onRun }: BenchOptions): Promise<BenchResult[]> {
  const random = generatorFor(0, 'bench', 0);
  const image = () => Float32Array.from({ length: bundle.imageLength }, () => random.uniform());
  const examples: Example[] = Array.from({ length: ways * shots }, (_, i) => ({
    label: `class ${i % ways}`,
    image: image(),
  }));
  const query = [image()];
  const names = Object.keys(bundle.manifest.patterns);
  const times = new Map(
    names.map((name) => [name, { encode: [], step: [], adapt: [], predict: [] } as Record<string, number[]>]),
  );
  const stored = new Map<string, number>();
  for (let run = 0; run < WARM_UP + runs; run++) {
    for (const pattern of names) {
      const { profile, milliseconds } = await bundle.adapt(examples, { pattern, steps });
      const began = performance.now();
      await bundle.predict(profile, query);
      const predict = performance.now() - began;
      stored.set(pattern, profile.byteLength);
      if (run < WARM_UP) continue;
      const own = times.get(pattern);
      own?.['encode']?.push(milliseconds.encode);
      own?.['step']?.push(milliseconds.steps / Math.max(1, steps));
      own?.['adapt']?.push(milliseconds.total);
      own?.['predict']?.push(predict);
    }
    onRun?.(run + 1);
  }
  const headWeights = ways * (bundle.manifest.featureLength + 1);
  const moving = (name: string) =>
    (bundle.manifest.patterns[name]?.moving ?? []).reduce((sum, weight) => sum + weight.moving, headWeights);
  const timing = (name: string, what: string): Timing => {
    const values = times.get(name)?.[what] ?? [];
    return { median: median(values), p95: quantile(values, 0.95) };
  };
  const densest = names.reduce((a, b) => (moving(b) > moving(a) ? b : a));
  const reference = timing(densest, 'adapt').median;
  return names.map((pattern) => ({
    pattern,
    ways,
    shots,
    steps,
    runs,
    movingWeights: moving(pattern),
    storedBytes: stored.get(pattern) ?? 0,
    encode: timing(pattern, 'encode'),
    step: timing(pattern, 'step'),
    adapt: timing(pattern, 'adapt'),
    predict: timing(pattern, 'predict'),
    speedUp: reference / timing(pattern, 'adapt').median,
  }));
}
