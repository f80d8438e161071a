import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadBundle } from '@whet/runtime/node';
import { noiseExamples } from '@whet/trainer';
import { machine, timeInTurns } from './harness.js';

const { values: options } = parseArgs({
  options: {
    bundle: {
      type: 'string',
      default: fileURLToPath(new URL('../../../models/bundles/omniglot-conv4', import.meta.url)),
    },
    patterns: { type: 'string', multiple: true },
    profiles: { type: 'string', default: '32' },
    rounds: { type: 'string', default: '30' },
  },
});
const count = Number(options.profiles);
const bundle = await loadBundle(options.bundle);
const patterns = options.patterns ?? Object.keys(bundle.manifest.patterns);
const images = noiseExamples(bundle, count, 1).map(({ image }) => image);

process.stdout.write(
  [
    `Predicting ${count} images, ms (median of ${options.rounds}, in turns). ${machine()}.`,
    '',
    `| pattern | one profile, one call | ${count} profiles, \`predictMany\` | of one profile's | ${count} profiles, one call each |`,
    '|---|---|---|---|---|',
    '',
  ].join('\n'),
);
for (const pattern of patterns) {
  const profiles = await Promise.all(
    images.map(async () => (await bundle.adapt(noiseExamples(bundle, 5, 1), { pattern, steps: 1 })).profile),
  );
  const requests = profiles.map((profile, i) => ({ profile, images: images.slice(i, i + 1) }));
  const [first] = profiles;
  if (!first) throw new Error('--profiles: expected 1 or more');
  const times = await timeInTurns(
    [
      { name: 'one', run: () => bundle.predict(first, images) },
      { name: 'many', run: () => bundle.predictMany(requests) },
      {
        name: 'each',
        run: async () => {
          for (const { profile, images: own } of requests) await bundle.predict(profile, own);
        },
      },
    ],
    Number(options.rounds),
  );
  const [one, many, each] = ['one', 'many', 'each'].map((name) => times.get(name) ?? Number.NaN) as [
    number,
    number,
    number,
  ];
  const cells = [pattern, one.toFixed(1), many.toFixed(1), `${(many / one).toFixed(2)}x`, each.toFixed(1)];
  process.stdout.write(`| ${cells.join(' | ')} |\n`);
}
await bundle.release();
