import type { Prediction } from '@whet/runtime';
import { Command } from 'commander';
import { defaultBundle } from '../arguments.js';
import { formatTable, percent } from '../format.js';
import { readNamedFile } from '../named-file.js';

/** Images that are decoded and predicted together. */
const AT_ONCE = 64;

interface PredictOptions {
  readonly profile: string | false;
  readonly bundle: string;
  readonly json?: boolean;
}

export function predictCommand(): Command {
  return new Command('predict')
    .description('Classify images with a profile of `whet adapt`.')
    .argument('<images...>', 'image files, or folders of them')
    .option('--bundle <dir>', 'the bundle the profile was made with', defaultBundle)
    .option('--profile <file>', 'the profile', 'profile.safetensors')
    .option('--no-profile', 'predict as the model did before it was compiled; for bundles of --head keep')
    .option('--json', 'print JSON with the probability of each class')
    .action(runPredict);
}

async function runPredict(given: readonly string[], options: PredictOptions): Promise<void> {
  const { readProfile } = await import('@whet/runtime');
  const { labelsProblem } = await import('@whet/runtime/format');
  const { loadBundle } = await import('@whet/runtime/node');
  const { imagesAt, readImage } = await import('../image-files.js');
  const stored = options.profile ? await readNamedFile(options.profile, 'a profile of `whet adapt`') : undefined;
  const wanted = stored && readProfile(stored).pattern;
  const bundle = await loadBundle(options.bundle, {
    // A pattern that the bundle has not got: the profile is another bundle's, which is said below.
    patterns: ({ defaultPattern, patterns }) =>
      [wanted ?? defaultPattern].filter((name) => Object.hasOwn(patterns, name)),
  });
  const profile = stored ? bundle.profileFromBytes(stored) : bundle.initialProfile();
  const problem = labelsProblem(profile.classes, bundle.labels);
  if (problem !== undefined) throw new Error(`${options.profile}: classes: ${problem}`);
  const paths = await imagesAt(given);
  const predictions: Prediction[] = [];
  for (let from = 0; from < paths.length; from += AT_ONCE) {
    const some = paths.slice(from, from + AT_ONCE);
    const images = await Promise.all(some.map((path) => readImage(path, bundle.manifest.preprocessing)));
    predictions.push(...(await bundle.predict(profile, images)));
  }
  await bundle.release();
  if (options.json) {
    const results = predictions.map((prediction, i) => ({ image: paths[i], ...prediction }));
    process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
    return;
  }
  const rows = predictions.map(({ label, probabilities, familiarity = 0 }, i) => [
    paths[i] as string,
    familiarity < 0 ? `none of these; ${label} at most` : label,
    percent(probabilities[label] as number),
  ]);
  process.stdout.write(`${formatTable(['image', 'class', 'probability'], rows)}\n`);
}
