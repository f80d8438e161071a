import { writeFile } from 'node:fs/promises';
import type { HeldBack } from '@whet/runtime';
import { Command } from 'commander';
import { defaultBundle, nonNegative, positiveNumber, wholeNumber } from '../arguments.js';
import { bytes, formatTable, milliseconds } from '../format.js';
import { readNamedFile } from '../named-file.js';

interface AdaptOptions {
  readonly examples: string;
  readonly out: string;
  readonly perClass?: number;
  readonly pattern?: string;
  readonly always?: boolean;
  readonly budgetMs?: number;
  readonly steps?: number;
  readonly rate?: number;
  readonly views?: number;
  readonly from?: string;
  readonly remember?: number;
  readonly anchor?: number;
}

export function adaptCommand(): Command {
  return new Command('adapt')
    .description('Adapt a bundle to labelled images and write a profile.')
    .argument('[bundle]', 'folder or .whet file of a bundle', defaultBundle)
    .requiredOption('--examples <dir>', 'folder with one folder of images per class')
    .option('--out <file>', 'where the profile goes', 'profile.safetensors')
    .option('--per-class <n>', 'take this many examples of each class', wholeNumber)
    .option('--pattern <name>', 'which weights move, or auto: examples held back choose (default: the bundle’s own)')
    .option('--budget-ms <n>', 'of --pattern auto: try no more patterns after so many milliseconds', wholeNumber)
    .option('--steps <n>', 'inner steps', wholeNumber)
    .option('--rate <x>', 'inner learning rate', positiveNumber)
    .option('--always', 'take steps below the head even where views of the examples leave them nothing to learn')
    .option(
      '--views <n>',
      'views of each example, to adapt to besides; without it of those that are alone in their class',
      wholeNumber,
    )
    .option('--from <file>', 'a profile to go on from: its classes are kept, others of the examples added')
    .option(
      '--remember <n>',
      'examples of each class that the profile keeps, as features, for when it goes on (default: as many as --from, or none)',
      wholeNumber,
    )
    .option(
      '--anchor <x>',
      'of --from: how much of the way back to it values are pulled in the end (default: 0)',
      nonNegative,
    )
    .action(runAdapt);
}

async function runAdapt(directory: string, options: AdaptOptions): Promise<void> {
  const { loadBundle } = await import('@whet/runtime/node');
  const { readProfile } = await import('@whet/runtime');
  const { AUTO, patternsOfAuto, presetPatterns } = await import('@whet/runtime/format');
  const { readExamples } = await import('../image-files.js');
  const from = options.from === undefined ? undefined : await readNamedFile(options.from, 'a profile');
  const bundle = await loadBundle(directory, {
    patterns: (manifest) => {
      if (from) return [readProfile(from).pattern];
      if (options.pattern === undefined) return presetPatterns(manifest);
      return options.pattern === AUTO ? patternsOfAuto(manifest) : [options.pattern];
    },
  });
  const examples = await readExamples(options.examples, bundle.manifest.preprocessing, options.perClass);
  const {
    profile,
    added,
    solved,
    losses,
    loss,
    halved,
    heldBack,
    spared,
    auto,
    milliseconds: times,
  } = await bundle.adapt(examples, {
    ...(options.pattern ? { pattern: options.pattern } : {}),
    ...(options.steps === undefined ? {} : { steps: options.steps }),
    ...(options.rate === undefined ? {} : { rate: options.rate }),
    ...(options.always ? { always: true } : {}),
    ...(options.views === undefined ? {} : { views: options.views }),
    ...(options.budgetMs === undefined ? {} : { budgetMs: options.budgetMs }),
    ...(options.remember === undefined ? {} : { remember: options.remember }),
    ...(options.anchor === undefined ? {} : { anchor: options.anchor }),
    ...(from ? { from: bundle.profileFromBytes(from) } : {}),
    onStep: (step, loss) => process.stderr.write(`step ${step}: loss ${loss.toFixed(4)}\n`),
  });
  await writeFile(options.out, profile.toBytes());
  await bundle.release();
  const right = (told: HeldBack | undefined): string => (told ? `${told.right} of ${told.asked}` : '-');
  process.stdout.write(
    (auto
      ? `${formatTable(
          ['tried', 'steps', 'head', 'with views', 'right of those held back', 'views right', 'time'],
          auto.trials.map((trial) => [
            trial.pattern,
            String(trial.steps),
            trial.solved ? 'solved' : trial.steps > 0 ? 'stepped' : 'start',
            String(trial.withViews),
            right(trial.heldBack),
            right(trial.views),
            milliseconds(trial.milliseconds),
          ]),
        )}\n${auto.reason}\n`
      : '') +
      `${examples.length} examples of ${profile.classes.length} classes, pattern ${profile.pattern}, ${losses.length} steps${solved ? ', head solved for' : ''}: ` +
      `${milliseconds(times.total)} (encode ${milliseconds(times.encode)}, steps ${milliseconds(times.steps)})\n` +
      (spared === undefined ? '' : `no steps: ${spared} (--always takes them)\n`) +
      (loss === undefined ? '' : `loss of the examples ${(losses[0] as number).toFixed(4)} to ${loss.toFixed(4)}`) +
      (halved > 0 ? `, at ${1 / 2 ** halved} of the rate in the end, as a step would have raised it` : '') +
      (loss === undefined ? '' : '\n') +
      (heldBack ? `${right(heldBack)} examples right when asked about unseen\n` : '') +
      (added.length > 0 ? `added to the ${from ? 'profile’s' : 'bundle’s own'} classes: ${added.join(', ')}\n` : '') +
      `${options.out}: ${bytes(profile.byteLength)}\n`,
  );
}
