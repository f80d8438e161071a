import {
  BENCH_SCHEMA,
  type BenchRecord,
  type BenchResult,
  generatorFor,
  omniglotPreprocessing,
  runConfigSchema,
} from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { benchPage } from './bench-page.js';
import { html } from './html.js';
import { table } from './page.js';
import { type Report, reportPage } from './report-page.js';
import { searchPage } from './search-page.js';

const SIZE = 4;

describe('html', () => {
  it('escapes what is put in, but not what is HTML already', () => {
    const inner = html`<b>${'<&"\'>'}</b>`;
    expect(html`${[inner, 1]}${undefined}${false}`.text).toBe('<b>&lt;&amp;&quot;&#39;&gt;</b>1');
  });

  it('makes tables whose rows are named by their first cell', () => {
    const { text } = table(['a', 'b'], [['<x>', '1']], { caption: 'c', marked: 0 });
    expect(text).toContain('<tr class="chosen"><th scope="row">&lt;x&gt;</th><td>1</td></tr>');
    expect(text).toContain('aria-label="c"');
  });
});

/** What any page of ours keeps: nothing loaded, no script, and every chart said in words. */
function expectSelfContained(page: string): void {
  expect(page).toMatch(/^<!doctype html>\n<html lang="en">/);
  // What a drawing clips by is in the page.
  expect(page.match(/<script|<link|@import|url\((?!['"]?#).*/i)?.[0]).toBeUndefined();
  const addresses = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address);
  expect(addresses.filter((address) => !address?.startsWith('data:image/png;base64,'))).toEqual([]);
  expect(page.match(/.*(?:NaN|undefined|\[object).*/)?.[0]).toBeUndefined();
  // Attributes as drawings write them: a quote within one would end it.
  for (const [, style] of page.matchAll(/<text [^>]*?style="([^"]*)"/g)) expect(style).toMatch(/;$/);
  for (const [, label] of page.matchAll(/class="chart" role="img" aria-label="([^"]*)"/g)) expect(label).toMatch(/\d/);
  for (const [image] of page.matchAll(/<img [^>]*>/g)) expect(image).toMatch(/alt="[^"]+"/);
}

const interval = (mean: number) => ({ mean, halfWidth: 0.01 });

describe('the page of a bench', () => {
  const timing = (median: number) => ({ median, p25: 0.9 * median, p75: 1.1 * median, p95: 2 * median });
  const result = (pattern: string, adapt: number, mean: number | null, more: object = {}): BenchResult => ({
    ...{ bundle: '<tiny>', backend: 'node', pattern, ways: 5, shots: 1, steps: 5, runs: 30 },
    ...{ movingWeights: 100, storedBytes: 400, encode: timing(1), step: timing(adapt / 5), adapt: timing(adapt) },
    ...{
      predict: timing(0.5),
      speedUp: 100 / adapt,
      floor: timing(adapt / 2),
      peakBytes: null,
      processor: null,
      losses: null,
    },
    accuracy: mean === null ? null : { ...interval(mean), dataset: 'x', split: 'test', tasks: 600, from: 'manifest' },
    ...more,
  });
  const record: BenchRecord = {
    schema: BENCH_SCHEMA,
    machine: { cpu: 'Abacus', cores: 2, platform: 'linux-x64', node: '20.0.0' },
    backends: [
      { name: 'node', version: 'onnxruntime-node 1.30.0' },
      { name: 'wasm', version: 'onnxruntime-web 1.30.0' },
    ],
    bundles: [{ label: '<tiny>', name: 'tiny', version: '1', digest: 'a'.repeat(64) }],
    options: { ways: 5, shots: [1], steps: 5, runs: 30, threads: null, tasks: null },
    interrupted: false,
    problems: [],
    results: [result('full', 100, 0.97), result('head', 5, 0.96, { backend: 'wasm' }), result('sparse', 90, null)],
  };

  it('draws what has an accuracy, and has all figures and where they are from', async () => {
    const page = await benchPage(record);
    expectSelfContained(page);
    expect(page).toContain('Bench of &lt;tiny&gt;');
    expect(page).toContain('head (5-way 1-shot, wasm), 5.00 ms, 96.00 ± 1.00 %');
    expect(page).toContain('<td>20.0x</td>');
    expect(page).toContain('Abacus, 2 cores; linux-x64; Node 20.0.0; onnxruntime-node 1.30.0 (node)');
    expect(page).toContain('600 test tasks of x, from the bundle’s manifest');
    expect(page).not.toContain('peak memory');
  });

  it('says what was not measured, and where nothing has an accuracy', async () => {
    const results = record.results.slice(2);
    const page = await benchPage({ ...record, results, problems: ['<b>: does not load'], interrupted: true });
    expectSelfContained(page);
    expect(page).toContain('<li>&lt;b&gt;: does not load</li>');
    expect(page).toContain('Stopped before all was measured.');
    expect(page).toContain('No accuracy is known');
    const nothing = await benchPage({ ...record, bundles: [], results: [] });
    expectSelfContained(nothing);
    expect(nothing).toContain('Nothing was measured.');
  });
});

describe('the page of a search', () => {
  const result = (name: string, adapt: number, mean: number, more: object = {}) => ({
    ...{ name, layers: name.split('+'), rate: 0.1, accuracy: interval(mean), difference: interval(mean - 0.95) },
    ...{ diverged: 0, milliseconds: { adapt, encode: 1, rerun: 2 * adapt } },
    ...{ saved: { masking: 100 - 2 * adapt, caching: adapt }, withinBudget: mean > 0.94, pareto: true, ...more },
  });
  const outcome = {
    ...{ tasks: 3, budget: 1, dense: 'block1+head', reference: 'block1+head', chosen: 'head' },
    results: [
      result('head', 5, 0.945),
      result('block1', 60, 0.9, { withinBudget: false, pareto: false, diverged: 2 }),
      result('block1+head', 100, 0.95),
    ],
  };
  const settings = {
    ...{ checkpoint: 'abc', dataset: 'x', split: 'validation' as const, ways: 5, shots: 1, queries: 2, steps: 3 },
    ...{ rates: [0.1, 0.2], seed: 0 },
  };

  it('says what was chosen, what moving less and caching save, and all patterns', async () => {
    const page = await searchPage('<run>', settings, outcome, 10);
    expectSelfContained(page);
    expect(page).toContain('Which layers should move: &lt;run&gt;');
    expect(page).toContain('(of 10 asked for; the search was interrupted)');
    expect(page).toMatch(/<b>head<\/b> chosen/);
    expect(page).toContain('<tr class="chosen"><th scope="row">head</th>');
    expect(page).toMatch(/only head moves, all run in every step<\/th><td>10\.0 ms<\/td><td>90\.0 ms/);
    expect(page).toMatch(/cached<\/th><td>5\.00 ms<\/td><td>5\.00 ms<\/td><td>2\.00×/);
    expect(page).toMatch(
      /Chosen: head\. On the Pareto front, from fast to slow: head, 5\.00 ms, 94\.5 %; block1\+head/,
    );
    expect(page.match(/<svg /g)).toHaveLength(2);
    const whole = await searchPage('run', settings, outcome, 3);
    expect(whole).not.toContain('interrupted');
  });

  it('is drawn also where one pattern is all there is', async () => {
    const alone = { ...outcome, dense: 'head', reference: 'head', results: [result('head', 5, 1)] };
    expectSelfContained(await searchPage('run', { ...settings, rates: [0.1] }, alone, 3));
  });
});

describe('the page of a run', () => {
  const random = generatorFor(1, 'report-page', 0);
  const image = () => Float32Array.from({ length: SIZE * SIZE }, () => random.uniform());
  const example = (right: boolean) => ({
    ...{ image: image(), right, probability: 0.75 },
    predicted: { name: '<script>alert("1")</script>', support: image() },
    actual: { name: "d'accord & co", support: image() },
  });
  const frozen = { block1: 0.5, head: 1 };
  const line = (step: number, more: object = {}) => ({
    ...{ step, loss: 1 / step, accuracy: 0.5, frozen, validation: interval(0.9), ...more },
  });
  const report: Report = {
    ...{
      name: 'a<b>',
      step: 20,
      trainsOnValidation: false,
      bestValidation: 0.9,
      metrics: [line(10), line(20)],
      split: 'validation',
    },
    config: runConfigSchema.parse({ model: { architecture: 'conv4' }, rule: 'sparse-maml', outerSteps: 40 }),
    ...{ tasks: 7, queries: 5, dataset: 'x', preprocessing: omniglotPreprocessing(SIZE) },
    accuracies: [
      { ways: 5, shots: 1, oneImage: interval(0.8), transductive: interval(0.85) },
      { ways: 20, shots: 1, oneImage: 'expected 20 <classes>', transductive: 'expected 20' },
    ],
    trace: {
      tasks: 3,
      steps: [
        { supportLoss: 1, queryLoss: 1.25, accuracy: 0.5 },
        { supportLoss: 0.5, queryLoss: 1.125, accuracy: 0.625 },
      ],
      layers: [{ layer: 'block1', alignment: 0.75, cosine: 0.875 }],
    },
    masks: [{ name: 'conv1.weight', layer: 'block1', shape: [2, 1, 1, 2], open: Uint8Array.of(1, 0, 1, 0) }],
    examples: [example(false), example(true)],
  };

  it('has curves, accuracies, sparsity, masks and examples, with class names escaped', async () => {
    const page = await reportPage(report);
    expectSelfContained(page);
    for (const title of [
      'Training',
      'Accuracy on validation tasks',
      'What inner steps do',
      'Which weights move',
      'Masks',
      'Predictions',
    ]) {
      expect(page).toContain(`<h2>${title}</h2>`);
    }
    expect(page).toContain('<td>0.5000</td><td>1.1250</td><td>62.50 %</td>');
    expect(page).toContain('<td>0.7500</td><td>0.8750</td>');
    expect(page).toContain('20 / 40</b> outer steps; not at its end');
    expect(page).toContain('80.00 % ± 1.00</td><td>85.00 % ± 1.00');
    expect(page).toContain('expected 20 &lt;classes&gt;');
    expect(page).toContain('conv1.weight [2, 1, 1, 2]: 50.0 % of 4 weights move');
    expect(page).toContain('✗ taken for: &lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;, 75 %');
    expect(page).toContain('is d&#39;accord &amp; co');
    expect(page).toContain('✓ right');
  });

  it('leaves out what a rule without masks has not, and says why there are no examples', async () => {
    const metrics = [line(10, { frozen: {} })];
    const page = await reportPage({
      ...report,
      metrics,
      masks: [],
      trace: 'too few images',
      examples: 'too few classes',
    });
    expectSelfContained(page);
    expect(page).not.toMatch(/Which weights move|Masks/);
    expect(page).toContain('<p>too few classes</p>');
    expect(page).toContain('<p>too few images</p>');
  });

  it('is drawn at once for a run of many validations', async () => {
    const metrics = Array.from({ length: 300 }, (_, i) => line(i + 1));
    const page = await reportPage({ ...report, metrics });
    expectSelfContained(page);
    expect(page.length).toBeLessThan(500_000);
  });
});
