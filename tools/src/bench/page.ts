import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import type { Example } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
import { median } from '@whet/trainer';
import { charactersDirectory, type DemoImage, loadDemoImages } from '../demo/demo-images.js';
import { chromiumPath, openBrowser } from '../page/browser.js';
import { PageDriver } from '../page/driver.js';
import { startPageServer } from '../page/page-server.js';
import { type FirstPaint, traceFirstPaint } from './first-paint.js';

// Times of the page in Chromium, beside Node.js on the same machine: 5-way 5-shot, the default pattern, medians. Before that, the
// processor time until something is painted; `--paint` measures nothing else.
const LABELS = ['plus', 'question-mark', 'percent', 'dollar', 'equals'];
const SHOTS = 5;

interface Row {
  readonly runtime: string;
  /** ms */
  readonly load: number;
  readonly warmUp: number;
  readonly adapt: number;
  readonly adaptLeast: number;
  readonly adapt95: number;
  readonly predict: number;
}

const { values } = parseArgs({
  options: {
    repeats: { type: 'string', default: '30' },
    launches: { type: 'string', default: '3' },
    json: { type: 'string' },
    /** First paint only. */
    paint: { type: 'boolean', default: false },
  },
});
const [repeats, launches] = [Number(values.repeats), Number(values.launches)];

const percentile95 = (times: readonly number[]): number =>
  [...times].sort((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * 0.95))] as number;

interface Times {
  readonly load: number[];
  readonly warmUp: number[];
  readonly adapt: number[];
  readonly predict: number[];
}

const noTimes = (): Times => ({ load: [], warmUp: [], adapt: [], predict: [] });

const rowOf = (runtime: string, { load, warmUp, adapt, predict }: Times): Row => ({
  runtime,
  load: median(load),
  warmUp: median(warmUp),
  adapt: median(adapt),
  adaptLeast: Math.min(...adapt),
  adapt95: percentile95(adapt),
  predict: median(predict),
});

async function inPage(url: string, query: string, runtime: string, gpu: boolean): Promise<Row> {
  const times = noTimes();
  const image = (await loadDemoImages(charactersDirectory)).get('plus')?.[9] as DemoImage;
  const picture = image.file;
  for (let launch = 0; launch < launches; launch++) {
    const browser = await openBrowser({ gpu });
    const driver = new PageDriver(browser.context.pages()[0] ?? (await browser.context.newPage()));
    await driver.open(url + query);
    await driver.openEngineers();
    if (gpu) {
      await driver.page.getByLabel('Computes on').selectOption('webgpu');
      await driver.page.getByText('Now WebGPU').waitFor({ timeout: 120_000 });
    }
    const said = await driver.page.getByText(/^Now /).innerText();
    const [, load, warmUp] = /Loaded in (\d+) ms, warm after (\d+) ms/.exec(said) ?? [];
    times.load.push(Number(load));
    times.warmUp.push(Number(warmUp));
    await driver.demo();
    // The first adaptation to this many examples compiles shaders and grows memory.
    await driver.learned();
    for (let i = 0; i < repeats / launches; i++) {
      await driver.adapt();
      times.adapt.push(Number(await driver.page.locator('.figures').getAttribute('data-milliseconds')));
    }
    for (let i = 0; i < 5 + repeats / launches; i++) {
      await driver.predict(picture);
      const took = await driver.page.locator('.prediction').getAttribute('data-milliseconds');
      if (i >= 5) times.predict.push(Number(took));
    }
    await browser.close();
  }
  return rowOf(runtime, times);
}

async function inNode(threads: number): Promise<Row> {
  const demo = await loadDemoImages(charactersDirectory);
  const times = noTimes();
  for (let launch = 0; launch < launches; launch++) {
    const began = performance.now();
    const bundle = await loadBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), {
      threads,
      patterns: ({ defaultPattern }) => [defaultPattern],
    });
    times.load.push(performance.now() - began);
    const images = LABELS.flatMap((label) => (demo.get(label) ?? []).slice(0, SHOTS));
    const examples: Example[] = await Promise.all(
      images.map(async ({ label, bytes }) => ({
        label,
        image: await decodeImage(bytes, bundle.manifest.preprocessing),
      })),
    );
    const warm = performance.now();
    const { profile } = await bundle.adapt(examples);
    times.warmUp.push(performance.now() - warm);
    for (let i = 0; i < repeats / launches; i++) times.adapt.push((await bundle.adapt(examples)).milliseconds.total);
    const image = (examples[0] as Example).image;
    for (let i = 0; i < 5 + repeats / launches; i++) {
      const start = performance.now();
      await bundle.predict(profile, [image as Float32Array]);
      if (i >= 5) times.predict.push(performance.now() - start);
    }
    await bundle.release();
  }
  return rowOf(`onnxruntime-node, ${threads} ${threads === 1 ? 'thread' : 'threads'}`, times);
}

if (!chromiumPath) throw new Error('expected Chromium at /usr/bin/chromium or in WHET_CHROMIUM');
const server = await startPageServer();
const rows: Row[] = [];
const ms = (value: number) =>
  value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : String(Math.round(value));
const firstPaints: { first: FirstPaint; later: FirstPaint }[] = [];
for (let launch = 0; launch < launches; launch++) firstPaints.push(await traceFirstPaint(server.url));
process.stdout.write('| until the first paint | the page | all of the browser |\n|---|--:|--:|\n');
for (const visit of ['first', 'later'] as const) {
  const of = (what: keyof FirstPaint) => ms(median(firstPaints.map((one) => one[visit][what])));
  process.stdout.write(`| ${visit} visit | ${of('page')} ms | ${of('browser')} ms |\n`);
}
if (!values.paint) await times();
await server.close();
if (values.json) await writeFile(values.json, `${JSON.stringify({ firstPaints, rows }, null, 2)}\n`);

async function times(): Promise<void> {
  process.stdout.write(
    '\n| runtime | load | warm-up | adapt | least | 95th | predict one |\n|---|--:|--:|--:|--:|--:|--:|\n',
  );
  const add = async (measured: Promise<Row>) => {
    const row = await measured;
    const cells = [row.load, row.warmUp, row.adapt, row.adaptLeast, row.adapt95, row.predict].map(
      (value) => `${ms(value)} ms`,
    );
    process.stdout.write(`| ${row.runtime} | ${cells.join(' | ')} |\n`);
    rows.push(row);
  };
  await add(inNode(1));
  if (cpus().length > 1) await add(inNode(2));
  await add(inPage(server.url, '?measure&threads=1', 'page, WebAssembly, 1 thread', false));
  if (cpus().length > 1) await add(inPage(server.url, '?measure&threads=2', 'page, WebAssembly, 2 threads', false));
  await add(inPage(server.url, '?measure', 'page, WebGPU (SwiftShader)', true));
}
