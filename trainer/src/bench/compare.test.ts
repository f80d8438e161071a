import { describe, expect, it } from 'vitest';
import { compareBenches } from './compare.js';
import { BENCH_SCHEMA, type BenchRecord, type BenchResult } from './record.js';

const timing = (median: number, spread = 0.1) => ({
  median,
  p25: (1 - spread) * median,
  p75: (1 + spread) * median,
  p95: 2 * median,
});
const result = (pattern: string, ms: number, more: Partial<BenchResult> = {}): BenchResult => ({
  ...{ bundle: 'tiny', backend: 'node', pattern, ways: 5, shots: 1, steps: 5, runs: 30 },
  ...{ movingWeights: 100, storedBytes: 400, encode: timing(1), step: timing(ms / 5), adapt: timing(ms) },
  ...{ predict: timing(0.5), speedUp: null, floor: null, peakBytes: null, accuracy: null },
  ...{ processor: null, losses: null, ...more },
});
const record = (results: BenchResult[], more: Partial<BenchRecord> = {}): BenchRecord => ({
  schema: BENCH_SCHEMA,
  machine: { cpu: 'Abacus', cores: 2, platform: 'linux-x64', node: '20.0.0' },
  backends: [{ name: 'node', version: 'onnxruntime-node 1.30.0' }],
  bundles: [{ label: 'tiny', name: 'tiny', version: '1', digest: 'a'.repeat(64) }],
  options: { ways: 5, shots: [1], steps: 5, runs: 30, threads: null, tasks: null },
  ...{ interrupted: false, problems: [], results, ...more },
});

describe('comparing benches', () => {
  it('finds nothing changed between a bench and itself', () => {
    const one = record([result('full', 100), result('head', 5)]);
    const { differences, changes, onlyBefore, onlyAfter } = compareBenches(one, one);
    expect([...differences, ...onlyBefore, ...onlyAfter]).toEqual([]);
    for (const { times } of changes) {
      for (const change of Object.values(times)) expect(change).toMatchObject({ ratio: 1, verdict: 'same' });
    }
  });

  it.each([
    [100, 50, 30, 'faster'],
    [100, 200, 30, 'slower'],
    [100, 115, 30, 'same'],
    [100, 50, 4, 'few'],
  ] as const)('calls %d ms and then %d ms of %d runs "%s"; reversed, the reverse', (before, after, runs, verdict) => {
    const [a, b] = [before, after].map((ms) => record([result('full', ms, { runs })])) as [BenchRecord, BenchRecord];
    const [change, back] = [compareBenches(a, b), compareBenches(b, a)].map(({ changes }) => changes[0]?.times.adapt);
    expect(change).toEqual({ before, after, ratio: after / before, verdict });
    const reverse = { faster: 'slower', slower: 'faster', same: 'same', few: 'few' };
    expect(back?.verdict).toBe(reverse[verdict]);
  });

  it('compares like with like only, and tells what one of them lacks', () => {
    const before = record([result('full', 100), result('head', 5), result('head', 6, { shots: 5 })]);
    const after = record([result('head', 4), result('head', 7, { backend: 'wasm' })]);
    const { changes, onlyBefore, onlyAfter } = compareBenches(before, after);
    expect(changes.map((each) => each.result)).toEqual([after.results[0]]);
    expect(onlyBefore).toEqual([before.results[0], before.results[2]]);
    expect(onlyAfter).toEqual([after.results[1]]);
  });

  it('tells another machine, runtime, bundle and number of threads', () => {
    const before = record([result('head', 5)]);
    const after = record([result('head', 5, { bundle: 'tiny 2' })], {
      machine: { ...before.machine, cpu: 'Slide rule', cores: 4 },
      backends: [{ name: 'node', version: 'onnxruntime-node 1.31.0' }],
      bundles: [{ label: 'tiny 2', name: 'tiny', version: '2', digest: 'b'.repeat(64) }],
      options: { ...before.options, threads: 1 },
    });
    const { differences, changes } = compareBenches(before, after);
    expect(changes).toHaveLength(1);
    expect(differences).toEqual([
      'processor: Abacus before, Slide rule after',
      'cores: 2 before, 4 after',
      'backend node: onnxruntime-node 1.30.0 before, onnxruntime-node 1.31.0 after',
      'threads: the default before, 1 after',
      'bundle tiny: 1 (aaaaaaaa) before, 2 (bbbbbbbb) after',
    ]);
  });

  it('marks accuracies whose intervals do not overlap', () => {
    const accurate = (mean: number) => {
      const accuracy = { mean, halfWidth: 0.01, dataset: 'x', split: 'test', tasks: 600, from: 'data' } as const;
      return record([result('head', 5, { accuracy })]);
    };
    const of = (a: number, b: number) => compareBenches(accurate(a), accurate(b)).changes[0]?.accuracy;
    expect(of(0.9, 0.95)).toEqual({ points: expect.closeTo(5), beyondNoise: true });
    expect(of(0.95, 0.94)).toEqual({ points: expect.closeTo(-1), beyondNoise: false });
    expect(compareBenches(accurate(0.9), record([result('head', 5)])).changes[0]?.accuracy).toBeNull();
  });
});
