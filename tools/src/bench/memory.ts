import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadBundle } from '@whet/runtime/node';
import { measureMemory, noiseExamples } from '@whet/trainer';
import { machine, timeInTurns } from './harness.js';

const { values: options } = parseArgs({
  options: {
    bundle: {
      type: 'string',
      default: fileURLToPath(new URL('../../../models/bundles/omniglot-conv4', import.meta.url)),
    },
    patterns: { type: 'string', multiple: true, default: ['full', 'head'] },
    steps: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '10' },
  },
});
const { bundle: directory, patterns } = options;
const [steps, rounds] = [Number(options.steps), Number(options.rounds)];
const tasks = [
  { ways: 5, shots: 5 },
  { ways: 20, shots: 5 },
];
const modes = ['fast', 'small'] as const;

process.stdout.write(
  [
    `Resident memory of adapting, ${steps} inner steps, above that of the loaded bundle, MB; and ms to adapt (median of ${rounds}, in turns). ${machine()}.`,
    '',
    '| pattern | task | memory | peak | kept afterwards | ms to adapt |',
    '|---|---|---|---|---|---|',
    '',
  ].join('\n'),
);
for (const { ways, shots } of tasks) {
  const bundles = await Promise.all(
    modes.map(async (memory) => [memory, await loadBundle(directory, { memory, patterns })] as const),
  );
  const times = await timeInTurns(
    bundles.flatMap(([memory, bundle]) => {
      const examples = noiseExamples(bundle, ways, shots);
      return patterns.map((pattern) => ({
        name: `${pattern} ${memory}`,
        run: () => bundle.adapt(examples, { pattern, steps, rate: 1e-4 }),
      }));
    }),
    rounds,
  );
  for (const pattern of patterns) {
    for (const memory of modes) {
      const use = await measureMemory({ backend: 'node', directory, pattern, ways, shots, steps, memory });
      const megabytes = [use.peakBytes, use.keptBytes].map((bytes) => (bytes / 1e6).toFixed(0));
      const time = times.get(`${pattern} ${memory}`)?.toFixed(1);
      process.stdout.write(`| ${[pattern, `${ways}-way ${shots}-shot`, memory, ...megabytes, time].join(' | ')} |\n`);
    }
  }
  for (const [, bundle] of bundles) await bundle.release();
}
