import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ortBackend } from '../backends/ort.js';
import { DataError } from '../data/dataset.js';
import { drawings } from '../data/drawings.test.helper.js';
import { omniglotPreprocessing } from '../data/omniglot.js';
import { buildBundle } from '../export/export.js';
import { layerPattern } from '../export/patterns.js';
import type { Checkpoint } from '../training/checkpoint.js';
import { evaluateTasks } from '../training/evaluate-tasks.js';
import { newRun } from '../training/run.js';
import { chooseLayerPattern } from './choose.js';
import { layerSubsets, measurePatterns } from './measure-patterns.js';
import {
  type MeasuredPattern,
  measuredSoFar,
  readSearch,
  SEARCH_SCHEMA,
  SearchError,
  type SearchSettings,
  writeSearch,
} from './record.js';

const SIZE = 8;

const dataset = drawings({ train: 4, validation: 6, test: 4 });

const settings: SearchSettings = {
  checkpoint: 'none',
  dataset: 'synthetic',
  split: 'validation',
  ways: 3,
  shots: 1,
  queries: 3,
  steps: 2,
  rates: [0.1, 0.001],
  seed: 4,
  threads: 1,
};

let checkpoint: Checkpoint;
beforeAll(async () => {
  checkpoint = await newRun({
    model: { architecture: 'conv4', channels: 4, blocks: 2, imageSize: SIZE },
    rule: 'maml',
    normalization: 'support',
  });
});

const search = (tasks: number, more: Partial<Parameters<typeof measurePatterns>[0]> = {}) => {
  const measured = more.measured ?? new Map<string, MeasuredPattern>();
  return measurePatterns({ checkpoint, dataset, settings, tasks, measured, ...more }).then(() => measured);
};
const accuraciesOf = (measured: ReadonlyMap<string, MeasuredPattern>) =>
  [...measured].map(([name, { accuracies }]) => [name, accuracies]);

describe('measuring layer patterns', () => {
  it('tries every non-empty subset of the layers once, the dense one first', () => {
    const names = layerSubsets(checkpoint).map(({ name }) => name);
    // Then those of which most is cached, so that few of them tell much.
    expect(names.slice(0, 3)).toEqual(['block1+block2+head', 'block2+head', 'head']);
    expect(new Set(names)).toEqual(
      new Set(['block1', 'block2', 'head', 'block1+block2', 'block1+head', 'block2+head', 'block1+block2+head']),
    );
    expect(names).toHaveLength(7);
  });

  it('measures all on the same tasks, and the dense one as the trainer’s own graph does', async () => {
    const measured = await search(5);
    expect(measured.size).toBe(7);
    for (const [name, { layers, accuracies, adapt, encode, rerun }] of measured) {
      expect(
        accuracies.map(({ rate, tasks }) => [rate, tasks.length]),
        name,
      ).toEqual([
        [0.1, 5],
        [0.001, 5],
      ]);
      expect([adapt.length, encode.length], name).toEqual([10, 10]);
      // Only a pattern whose first layer stays has a prefix to cache.
      expect(rerun.length, name).toBe(layers.includes('block1') ? 0 : 5);
    }
    const own = await evaluateTasks({
      ...checkpoint,
      dataset,
      backend: ortBackend({ threads: 1 }),
      split: 'validation',
      tasks: 5,
      shape: { ways: 3, shots: 1, queries: 3 },
      steps: 2,
      rate: 0.1,
      seed: 4,
    });
    const dense = measured.get('block1+block2+head')?.accuracies[0]?.tasks as number[];
    expect(dense.reduce((a, b) => a + b) / 5).toBeCloseTo(own.mean, 9);
  });

  it('goes on where it was interrupted, to the accuracies of a search in one go', async () => {
    const controller = new AbortController();
    let seen = 0;
    const part = await search(4, {
      signal: controller.signal,
      onTask: () => {
        if (++seen === 5) controller.abort();
      },
    });
    expect([...part.values()].reduce((sum, { accuracies }) => sum + (accuracies[0]?.tasks.length ?? 0), 0)).toBe(5);
    const progress: number[] = [];
    await search(4, { measured: part, onTask: (done, total) => progress.push(done / total) });
    expect(progress.at(0)).toBeCloseTo(6 / 28);
    expect(progress.at(-1)).toBe(1);
    expect(accuraciesOf(part)).toEqual(accuraciesOf(await search(4)));
  });

  it('tries the first few where that is asked for, and goes on with the others', async () => {
    const few = await search(2, { limit: 3 });
    expect([...few.keys()]).toEqual(['block1+block2+head', 'block2+head', 'head']);
    await search(2, { measured: few });
    expect(accuraciesOf(few).sort()).toEqual(accuraciesOf(await search(2)).sort());
  });

  it('measures each after a single step too, as a search in one step does', async () => {
    const both = await search(2, { limit: 3, settings: { ...settings, oneStep: true } });
    const plain = await search(2, { limit: 3 });
    const one = await search(2, { limit: 3, settings: { ...settings, steps: 1 } });
    expect(accuraciesOf(both)).toEqual(accuraciesOf(plain));
    for (const [name, { oneStep }] of both) {
      expect(oneStep?.accuracies, name).toEqual(one.get(name)?.accuracies);
      expect(oneStep?.adapt).toHaveLength(2 * settings.rates.length);
    }
  });

  it('measures a rate that no step can take, and refuses data that does not fit', async () => {
    const measured = await search(1, { settings: { ...settings, rates: [1e30] } });
    const dense = measured.get('block1+block2+head');
    expect(dense?.accuracies).toEqual([{ rate: 1e30, tasks: [expect.any(Number)] }]);
    expect(dense?.adapt).toHaveLength(1);
    await expect(search(1, { settings: { ...settings, ways: 7 } })).rejects.toThrow(DataError);
    const colour = { ...dataset, preprocessing: omniglotPreprocessing(9) };
    await expect(search(1, { dataset: colour })).rejects.toThrow(/expected images of 8 x 8 x 1 .*got 9 x 9 x 1/);
  });

  it('runs the frozen prefix in the step where it is not cached, to the same network', () => {
    const preprocessing = dataset.preprocessing;
    const common = { checkpoint, name: 'x', version: '0', description: '', preprocessing };
    const spec = layerPattern(checkpoint, 'top', ['block2']);
    const graphs = (more: object) => {
      const { manifest } = buildBundle({ ...common, patterns: [{ ...spec, ...more }], defaultPattern: 'top' });
      return manifest.patterns['top'];
    };
    expect(graphs({})?.graphs.encode).toBe('top.encode.onnx');
    expect(graphs({})?.features).toEqual([4, 4, 4]);
    expect(graphs({ rerunsPrefix: true })).toMatchObject({ graphs: { encode: null }, features: [1, SIZE, SIZE] });
  });
});

/** A pattern of given accuracies, whose every adaptation took `ms`. */
const pattern = (layers: string[], tasks: (number | null)[], ms: number, rerun?: number): MeasuredPattern => ({
  layers,
  accuracies: [{ rate: 0.1, tasks }],
  adapt: tasks.map(() => ms),
  encode: tasks.map(() => 1),
  rerun: rerun === undefined ? [] : tasks.map(() => rerun),
});
const choose = (patterns: Record<string, MeasuredPattern>, budget = 1, reference: 'dense' | 'best' = 'dense') =>
  chooseLayerPattern(new Map(Object.entries(patterns)), Object.keys(patterns), { budget, reference });

describe('choosing a layer pattern', () => {
  const dense = pattern(['block1', 'head'], [0.9, 0.8], 100);

  it('takes the fastest within the budget, the budget itself included', () => {
    const patterns = {
      dense,
      head: pattern(['head'], [0.7, 0.7], 1, 20),
      block1: pattern(['block1'], [0.89, 0.79], 50),
    };
    expect(choose(patterns)?.chosen).toBe('block1');
    expect(choose(patterns, 15)?.chosen).toBe('head');
    expect(choose(patterns, 0.9)?.chosen).toBe('dense');
    const found = choose(patterns);
    expect(found?.results.map(({ name, pareto }) => [name, pareto])).toEqual([
      ['head', true],
      ['block1', true],
      ['dense', true],
    ]);
    const [head] = found?.results ?? [];
    expect(head).toMatchObject({ saved: { masking: 80, caching: 19 }, withinBudget: false });
    // Paired: both tasks differ by 0.2 and 0.1, which is less spread than the accuracies' own.
    expect(head?.difference.mean).toBeCloseTo(-0.15);
    expect(head?.difference.halfWidth).toBeCloseTo((1.96 * Math.hypot(0.05, 0.05)) / Math.SQRT2);
  });

  it('takes the more accurate of equally fast ones, then the one that moves less', () => {
    const head = pattern(['head'], [0.9, 0.8], 10);
    const better = pattern(['block1'], [0.9, 0.9], 10);
    const both = pattern(['block1', 'head'], [0.9, 0.8], 10);
    expect(choose({ dense, head, better })?.chosen).toBe('better');
    expect(choose({ both, head })?.chosen).toBe('head');
    expect(choose({ both, head })?.results.every(({ pareto }) => pareto)).toBe(true);
  });

  it('counts the budget from the most accurate pattern where that is asked for', () => {
    const best = pattern(['block1'], [1, 1], 200);
    expect(choose({ dense, best }, 1, 'dense')?.chosen).toBe('dense');
    expect(choose({ dense, best }, 1, 'best')).toMatchObject({ chosen: 'best', reference: 'best', dense: 'dense' });
  });

  it('takes each pattern at its best rate, on the tasks that all have', () => {
    const two: MeasuredPattern = {
      ...pattern(['head'], [0.5, 0.6, 1], 5),
      accuracies: [
        { rate: 0.1, tasks: [0.5, 0.6, 1] },
        { rate: 0.3, tasks: [0.9, null, 0] },
        { rate: 0.2, tasks: [0.7, 0.5, 0] },
      ],
    };
    const found = choose({ dense, two });
    expect(found?.tasks).toBe(2);
    expect(found?.results[0]).toMatchObject({ name: 'two', rate: 0.2, diverged: 0 });
  });

  it('says what a single step at its best rate comes to, beside the reference after all', () => {
    const head: MeasuredPattern = {
      ...pattern(['head'], [0.9, 0.8], 5),
      oneStep: {
        accuracies: [
          { rate: 0.1, tasks: [0.8, 0.7] },
          { rate: 0.3, tasks: [0.85, 0.8] },
        ],
        adapt: [2, 2, 4, 4],
      },
    };
    const [found] = choose({ dense, head })?.results ?? [];
    expect(found?.oneStep).toMatchObject({ rate: 0.3, milliseconds: 3 });
    expect(found?.oneStep?.accuracy.mean).toBeCloseTo(0.825);
    expect(found?.oneStep?.difference.mean).toBeCloseTo(-0.025);
    expect(choose({ dense })?.results[0]).not.toHaveProperty('oneStep');
  });

  it('is among those that were measured, once the dense one was, unless it diverged', () => {
    const unmeasured = pattern(['head'], [], 1);
    expect(choose({ dense: pattern(['block1', 'head'], [], 1), head: pattern(['head'], [1], 1) })).toBeUndefined();
    expect(choose({})).toBeUndefined();
    const part = choose({ dense, head: pattern(['head'], [0.9, 0.8], 1), unmeasured });
    expect(part).toMatchObject({ chosen: 'head', of: 3, tasks: 2 });
    expect(part?.results).toHaveLength(2);
    const diverged = { ...pattern(['block1', 'head'], [null, null], 1), adapt: [] };
    const head = pattern(['head'], [0.5, 0.5], 1);
    expect(() => choose({ diverged, head })).toThrow(SearchError);
    expect(choose({ dense, gone: { ...diverged, layers: ['head'] }, head })?.results).toHaveLength(2);
  });
});

describe('a search file', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'whet-search-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('survives its file, keeps lists on one line, and goes on only under the same settings', async () => {
    const path = join(folder, 'search.json');
    expect(await readSearch(path)).toBeUndefined();
    const head = pattern(['head'], [0.25, null, 1e-7], 3.5, 4);
    const measured = { head: { ...head, oneStep: { accuracies: head.accuracies, adapt: [1, 1, 1] } } };
    const outcome = choose(measured) ?? null;
    await writeSearch(path, { schema: SEARCH_SCHEMA, settings, outcome, measured });
    const record = await readSearch(path);
    expect(record?.outcome).toEqual(outcome);
    expect(measuredSoFar(path, record, settings)).toEqual(new Map(Object.entries(measured)));
    expect(await readFile(path, 'utf8')).toContain('"tasks": [ 0.25, null, 1e-7 ]');
    expect(() => measuredSoFar(path, record, { ...settings, shots: 5 })).toThrow(
      /another search: shots: expected 5, got 1; choose another --out/,
    );
    const { threads: _, ...anyThreads } = settings;
    expect(() => measuredSoFar(path, record, anyThreads)).toThrow(/threads: expected the default, got 1/);
  });

  it('is refused where it is none', async () => {
    const path = join(folder, 'other.json');
    await writeFile(path, '{"schema": "whet-search/0"}');
    await expect(readSearch(path)).rejects.toThrow(/other\.json: expected a search file: schema/);
    await writeFile(path, '{"schema": ');
    await expect(readSearch(path)).rejects.toThrow(SearchError);
    await expect(readSearch(folder)).rejects.toThrow(/cannot be read/);
  });
});
