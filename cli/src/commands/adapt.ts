import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { defaultBundle, positiveNumber, wholeNumber } from '../arguments.js';
import { bytes, milliseconds } from '../format.js';

interface AdaptOptions {
  readonly examples: string;
  readonly out: string;
  readonly perClass?: number;
  readonly pattern?: string;
  readonly steps?: number;
  readonly rate?: number;
}

export function adaptCommand(): Command {
  return new Command('adapt')
    .description('Adapt a bundle to labelled images and write a profile.')
    .argument('[bundle]', 'folder or .whet file of a bundle', defaultBundle)
    .requiredOption('--examples <dir>', 'folder with one folder of images per class')
    .option('--out <file>', 'where the profile goes', 'profile.safetensors')
    .option('--per-class <n>', 'take this many examples of each class', wholeNumber)
    .option('--pattern <name>', 'which weights move; the bundle’s default when absent')
    .option('--steps <n>', 'inner steps', wholeNumber)
    .option('--rate <x>', 'inner learning rate', positiveNumber)
    .action(runAdapt);
}

async function runAdapt(directory: string, options: AdaptOptions): Promise<void> {
  const { loadBundle } = await import('@whet/runtime/node');
  const { readExamples } = await import('../image-files.js');
  const bundle = await loadBundle(directory, { patterns: ({ defaultPattern }) => [options.pattern ?? defaultPattern] });
  const examples = await readExamples(options.examples, bundle.manifest.preprocessing, options.perClass);
  const {
    profile,
    added,
    losses,
    loss,
    halved,
    milliseconds: times,
  } = await bundle.adapt(examples, {
    ...(options.pattern ? { pattern: options.pattern } : {}),
    ...(options.steps === undefined ? {} : { steps: options.steps }),
    ...(options.rate === undefined ? {} : { rate: options.rate }),
    onStep: (step, loss) => process.stderr.write(`step ${step}: loss ${loss.toFixed(4)}\n`),
  });
  await writeFile(options.out, profile.toBytes());
  await bundle.release();
  process.stdout.write(
    `${examples.length} examples of ${profile.classes.length} classes, pattern ${profile.pattern}, ${losses.length} steps: ` +
      `${milliseconds(times.total)} (encode ${milliseconds(times.encode)}, steps ${milliseconds(times.steps)})\n` +
      (loss === undefined ? '' : `loss of the examples ${(losses[0] as number).toFixed(4)} to ${loss.toFixed(4)}`) +
      (halved > 0 ? `, at ${1 / 2 ** halved} of the rate in the end, as a step would have raised it` : '') +
      (loss === undefined ? '' : '\n') +
      (added.length > 0 ? `added to the bundle’s own classes: ${added.join(', ')}\n` : '') +
      `${options.out}: ${bytes(profile.byteLength)}\n`,
  );
}
