import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type EncodedDomain, modelGraphs, newModelRun, openPrefix, ortBackend, trainModel } from '@whet/trainer';
import { machine } from './harness.js';

// What an outer step of `whet train --model` takes: `npm run bench:where -- model.onnx blocks:1 blocks:5`.

const [WAYS, SHOTS, QUERIES, STEPS, ROUNDS] = [5, 5, 5, 5, 6];
const [path, ...selections] = process.argv.slice(2);
if (path === undefined || selections.length === 0) {
  throw new Error('expected an ONNX model and selections of what may move, as blocks:1 blocks:5');
}
const file = { bytes: await readFile(path), fileName: basename(path) };

/** Rows of a data set that is noise. */
async function noiseDomain(
  encode: (count: number) => Promise<Awaited<ReturnType<EncodedDomain['encoded']>>['query']['features']>,
): Promise<EncodedDomain> {
  const labelsOf = (each: number) => Int32Array.from({ length: WAYS * each }, (_, i) => Math.floor(i / each));
  const support = { features: await encode(WAYS * SHOTS), labels: labelsOf(SHOTS) };
  const query = { features: await encode(WAYS * QUERIES), labels: labelsOf(QUERIES) };
  const isPrototype = new Float32Array(WAYS * SHOTS).fill(1);
  return {
    files: {
      name: 'noise',
      split: 'train',
      classes: Array.from({ length: WAYS }, (_, i) => ({
        name: `${i}`,
        count: SHOTS + QUERIES,
        read: () => Promise.reject(new Error('encoded already')),
      })),
    },
    encoded: async () => ({ ways: WAYS, support, isPrototype, query }),
    close: async () => undefined,
  };
}

const rows: string[] = [];
for (const selection of selections) {
  const settings = { data: [{ name: 'noise' }], trainable: [selection], innerSteps: STEPS, outerSteps: ROUNDS + 1 };
  const run = await newModelRun(file, settings, { pixelRange: 1 });
  const { prefix: bytes, gradient, features } = await modelGraphs(run.model, run.candidates);
  const { shape } = run.model.input;
  const prefix = await openPrefix(bytes, shape, features, 1);
  const length = shape.reduce((a, b) => a * b, 1);
  const domain = await noiseDomain((count) =>
    prefix.encode(
      Array.from({ length: count }, (_, n) => Float32Array.from({ length }, (_, i) => Math.sin(0.37 * i * (n + 1)))),
    ),
  );
  const times: { processor: number; wall: number }[] = [];
  let [used, since] = [process.cpuUsage(), performance.now()];
  const note = () => {
    const { user, system } = process.cpuUsage(used);
    times.push({ processor: (user + system) / 1e6, wall: (performance.now() - since) / 1000 });
    [used, since] = [process.cpuUsage(), performance.now()];
  };
  // A task is asked for when the one before is done.
  const noted: EncodedDomain = {
    ...domain,
    encoded: async (drawn) => {
      note();
      return domain.encoded(drawn);
    },
  };
  const backend = ortBackend({ threads: 1 });
  await trainModel({ ...run, gradient, backend, domains: [noted], validation: [] });
  note();
  await prefix.release();
  const fastest = (value: (time: (typeof times)[number]) => number) =>
    Math.min(...times.slice(2).map(value)).toFixed(2);
  const weights = run.candidates.tensors.reduce((sum, { start }) => sum + start.length, 0);
  const row = 4 * features.reduce((a, b) => a * b, 1);
  rows.push(
    `| \`${selection}\` | ${weights} | ${(row / 1000).toFixed(1)} kB | ${fastest(({ processor }) => processor)} | ${fastest(({ wall }) => wall)} |`,
  );
}
process.stdout.write(
  [
    `Outer steps of ${file.fileName}, one task of ${WAYS}-way ${SHOTS}-shot, ${QUERIES} queries a class, ${STEPS} inner steps, seconds (fastest of ${ROUNDS}), one thread. ${machine()}.`,
    '',
    '| candidates | weights | cached an image | processor time | wall clock |',
    '|---|--:|--:|--:|--:|',
    ...rows,
    '',
  ].join('\n'),
);
