import { parseArgs } from 'node:util';
import type { AdaptOptions } from '@whet/runtime';
import { loadBundle } from '@whet/runtime/node';
import { meanInterval } from '@whet/trainer';
import { formatTable, percent, signed } from 'whet';
import { policyTasks } from './policy-tasks.js';

// What a policy of a bundle is chosen by: the loss of views of a task's examples, and what each way to end gains over the start.
// npm run bench:policy -- BUNDLE --data DIR --data DIR --shots 5 --tasks 24

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string', multiple: true },
    split: { type: 'string', default: 'validation' },
    shots: { type: 'string', default: '5' },
    tasks: { type: 'string', default: '24' },
    queries: { type: 'string', default: '7' },
    /** Leaves patterns with steps out, which take most of the time. */
    'heads-alone': { type: 'boolean', default: false },
  },
});
const [place] = positionals;
const { data = [], split } = values;
if (!place || data.length === 0) throw new Error('expected a bundle, and --data of each data set');
if (split !== 'validation' && split !== 'train' && split !== 'test') throw new Error(`--split: got ${split}`);
const shape = { ways: 5, shots: Number(values.shots), queries: Number(values.queries) };

const bundle = await loadBundle(place);
const { patterns } = bundle.manifest;
const names = Object.keys(patterns);
const [head] = names.filter((name) => patterns[name]?.moving.length === 0);
if (!head) throw new Error(`${place}: expected a pattern that moves the head alone`);
const stepping = values['heads-alone'] ? [] : names.filter((name) => name !== head);
const ends: Readonly<Record<string, AdaptOptions>> = {
  solved: { pattern: head },
  viewed: { pattern: head, views: 6 },
  ...Object.fromEntries(stepping.map((pattern) => [pattern, { pattern, always: true }])),
};

const rows: string[][] = [];
for (const directory of data) {
  const { name, drawn } = await policyTasks({ bundle, directory, split, tasks: Number(values.tasks), shape });
  const gains = new Map(Object.keys(ends).map((end) => [end, [] as number[]]));
  const [starts, losses]: [number[], number[]] = [[], []];
  for await (const { examples, right } of drawn) {
    const { profile } = await bundle.adapt(examples, { pattern: head, steps: 0 });
    const start = await right(profile);
    starts.push(start);
    const { auto } = await bundle.adapt(examples, { pattern: 'auto' });
    losses.push(auto?.trials[0]?.views?.loss ?? Number.NaN);
    for (const [end, options] of Object.entries(ends)) {
      const adapted = await bundle.adapt(examples, options);
      gains.get(end)?.push((await right(adapted.profile)) - start);
    }
  }
  const between = [Math.min(...losses), Math.max(...losses)].map((loss) => loss.toFixed(3)).join(' to ');
  const told = [...gains.values()].map((all) => {
    const { mean, halfWidth } = meanInterval(all);
    return `${signed(100 * mean)} ± ${(100 * halfWidth).toFixed(1)}`;
  });
  rows.push([name, between, percent(meanInterval(starts).mean), ...told]);
}
await bundle.release();
process.stdout.write(
  `${formatTable(['data', 'loss of views', 'start', ...Object.keys(ends)], rows)}\n` +
    `${values.tasks} tasks of the split ${split}, 5-way ${shape.shots}-shot; points over the start, paired.\n`,
);
