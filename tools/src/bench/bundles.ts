import { readdir, stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { meanInterval, measureBundle, median, noiseExamples, type Row } from '@whet/trainer';
import { bytes, formatTable, milliseconds, openData, percent, recogniseData, signed } from 'whet';

// Two bundles of the same network beside each other, as one in float32 and one of bytes: the same tasks in pairs, encoding in turns.
// npm run bench:bundles -- BUNDLE OTHER --data DIR --pattern head --shots 5 --tasks 600

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string', multiple: true },
    split: { type: 'string', default: 'test' },
    pattern: { type: 'string', default: 'head' },
    shots: { type: 'string', default: '5' },
    tasks: { type: 'string', default: '600' },
    queries: { type: 'string', default: '15' },
    threads: { type: 'string', default: '1' },
  },
});
const { data = [], split, pattern } = values;
const [first, second] = positionals;
if (!first || !second || data.length === 0) throw new Error('expected two bundles, and --data of each data set');
if (split !== 'validation' && split !== 'train' && split !== 'test') throw new Error(`--split: got ${split}`);
const shape = { ways: 5, shots: Number(values.shots), queries: Number(values.queries) };
const [tasks, threads] = [Number(values.tasks), Number(values.threads)];

const RUNS = 15;
const EXAMPLES = 25;
const places = [first, second] as const;
const bundles = await Promise.all(places.map((place) => loadBundle(place, { threads })));

/** Bytes of a bundle's files, or of its one file. */
async function sizeOf(place: string): Promise<number> {
  const names = await readdir(place).catch(() => ['']);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(place, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Milliseconds to encode so many images, in turns: medians. */
async function encodeTimes(count: number): Promise<number[]> {
  const times = bundles.map((): number[] => []);
  const images = noiseExamples(bundles[0] as Bundle, count, 1).map(({ image }) => image);
  for (let run = 0; run < RUNS + 3; run++) {
    for (const [i, bundle] of bundles.entries()) {
      const start = performance.now();
      await bundle.encode(images, { pattern });
      if (run >= 3) times[i]?.push(performance.now() - start);
    }
  }
  return times.map((each) => median(each));
}

const rows: Row[] = [
  { name: '0 steps', adapt: { pattern, steps: 0, views: 0 } },
  { name: 'adapted', adapt: { pattern } },
];
const accuracies: string[][] = [];
for (const directory of data) {
  const of = await recogniseData(directory);
  const measured = [];
  for (const bundle of bundles) {
    const files = await openData(of, split, { preprocessing: bundle.manifest.preprocessing });
    const [only = []] = await measureBundle({ bundle, files, rows, shapes: [shape], tasks, command: () => '' });
    measured.push({ files, only });
  }
  for (const [i, { name }] of rows.entries()) {
    const [a = [], b = []] = measured.map(({ only }) => only[i]?.accuracies);
    const { mean, halfWidth } = meanInterval(b.map((value, task) => value - (a[task] as number)));
    const difference = `${signed(100 * mean)} ± ${(100 * halfWidth).toFixed(2)}`;
    accuracies.push([
      measured[0]?.files.name ?? '',
      name,
      ...[a, b].map((each) => percent(meanInterval(each).mean, 2)),
      difference,
    ]);
  }
}
const [one = [], many = []] = [await encodeTimes(1), await encodeTimes(EXAMPLES)];
const sizes = await Promise.all(places.map(sizeOf));
await Promise.all(bundles.map((bundle) => bundle.release()));

const line = (what: string, [a = 0, b = 0]: readonly number[], text: (value: number) => string) => [
  what,
  text(a),
  text(b),
  (b / a).toFixed(2),
];
process.stdout.write(
  [
    `${pattern} of ${first} and ${second}; ${cpus()[0]?.model ?? ''}, ${threads} thread, Node ${process.version.slice(1)}; encoding: medians of ${RUNS}, in turns`,
    formatTable(
      ['', first, second, 'ratio'],
      [
        line('bytes', sizes, bytes),
        line('encode 1 image', one, milliseconds),
        line(`encode ${EXAMPLES} images`, many, milliseconds),
      ],
    ),
    `5-way ${shape.shots}-shot, ${tasks} tasks of the ${split} classes, ${shape.queries} queries a class, one image at a time; differences in points, paired, 95 %`,
    formatTable(['data', 'row', first, second, 'difference'], accuracies),
    '',
  ].join('\n'),
);
