import { basename, dirname } from 'node:path';
import {
  type ObjectiveName,
  type OptimizerName,
  objectiveNames,
  optimizerNames,
  type ScheduleName,
  type StoredNumbers,
  scheduleNames,
} from '@whet/runtime/format';
import type { CompileReport } from '@whet/trainer';
import { Command, InvalidArgumentError, Option } from 'commander';
import { positiveNumber, wholeNumber } from '../arguments.js';
import { externalDataReader } from '../external-data.js';
import { bytes, formatTable, percent } from '../format.js';
import { addFrozenOptions, describeQuantized, type FrozenOptions, quantizeOf } from '../frozen-options.js';
import { addLimitOptions, type LimitOptions, limitsOf } from '../limit-options.js';
import { addModelOptions, type ModelOptions, profilesOption, readingOf } from '../model-options.js';
import { readNamedFile } from '../named-file.js';
import { numbersOf, parameterTable, summaryOfParameters } from '../parameter-tables.js';
import { namedLists } from '../patterns.js';
import { nameOfPlace, writtenLine } from '../written.js';

interface CompileOptions extends ModelOptions, FrozenOptions, LimitOptions {
  readonly out: string;
  readonly trainable?: string[];
  readonly pattern?: Map<string, string[]>;
  readonly head: 'cosine' | 'prototype' | 'keep';
  readonly optimizer?: OptimizerName;
  readonly objective?: ObjectiveName;
  readonly schedule?: ScheduleName;
  readonly smoothing?: number;
  readonly decay?: number;
  readonly views?: number;
  readonly normalization: 'population' | 'support';
  readonly labels?: string;
  readonly numberDuplicates?: boolean;
  readonly mean?: number[];
  readonly std?: number[];
  readonly steps?: number;
  readonly rate?: number;
  readonly name?: string;
  readonly description?: string;
  readonly profiles?: StoredNumbers;
  readonly verbose?: boolean;
}

function numbers(text: string): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (!values.every(Number.isFinite)) throw new InvalidArgumentError('expected numbers, e.g. 0.485,0.456,0.406.');
  return values;
}

function part(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value < 1) return value;
  throw new InvalidArgumentError('expected 0 or more and less than 1.');
}

const collectPattern = namedLists('NAME=SELECTION,... e.g. last=last:3,bias');

export function compileCommand(): Command {
  const command = new Command('compile')
    .description('Make an ONNX classifier adaptable: freeze what does not move, compile the gradients of what does.')
    .argument('<model>', 'an ONNX file')
    .requiredOption('--out <place>', 'folder of the bundle, or a file that ends in .whet')
    .option(
      '--trainable <selections...>',
      'parameters that move besides the head: names, globs, last:N layers, blocks:N, bias, norm, all, none (default: none)',
    )
    .option(
      '--pattern <name=selections>',
      'a named pattern, as deep=blocks:5; repeat it for several in one bundle',
      collectPattern,
    )
    .addOption(
      new Option(
        '--head <kind>',
        'what classes start from: mean directions or mean features of their examples, or the model’s own last layer',
      )
        .choices(['cosine', 'prototype', 'keep'])
        .default('cosine'),
    )
    .option(
      '--labels <file>',
      'names of a kept head’s classes: one a line, or JSON: an array, id2label, label2id, class_indices, Keras’s class index (default: 0, 1, ...)',
    )
    .option('--number-duplicates', 'of labels that are the same, number the later: crane, crane (2)')
    .addOption(
      new Option('--normalization <kind>', 'moments of BatchNormalization: the file’s, or those of the examples')
        .choices(['population', 'support'])
        .default('population'),
    )
    .option(
      '--mean <numbers>',
      'taken from pixels 0..1 (or --pixels), one number or one a channel (default: 0)',
      numbers,
    )
    .option('--std <numbers>', 'what is left is divided by this (default: 1)', numbers)
    .option('--steps <n>', 'inner steps at adaptation (default: 10)', wholeNumber)
    .option(
      '--rate <x>',
      'inner learning rate at adaptation (default: 0.001; of sgd and momentum 0.01)',
      positiveNumber,
    )
    .addOption(new Option('--optimizer <name>', 'how gradients become steps (default: adam)').choices(optimizerNames))
    .addOption(
      new Option(
        '--objective <name>',
        'what a step makes better: the head’s own answers, or those by prototypes that an example is no part of (default: prototypes, where a head is made of examples)',
      ).choices(objectiveNames),
    )
    .addOption(
      new Option('--schedule <name>', 'the rate from step to step (default: cosine, which ends small)').choices(
        scheduleNames,
      ),
    )
    .option(
      '--smoothing <share>',
      'the share of each label that all classes have (default: 0.1 of steps by prototypes, else 0)',
      part,
    )
    .option(
      '--decay <x>',
      'how much of the way back to its start a weight is pulled, times the rate (default: 0)',
      part,
    )
    .option('--views <n>', 'views of an example that is alone in its class (default: 6)', wholeNumber)
    .addOption(profilesOption())
    .option('--name <name>', 'name of the bundle; the folder’s when absent')
    .option('--description <text>', 'one line that says what the bundle is for')
    .option('--verbose', 'list every parameter, not one line a block (or layer, where no blocks repeat)');
  return addFrozenOptions(addLimitOptions(addModelOptions(command))).action(runCompile);
}

async function runCompile(path: string, options: CompileOptions): Promise<void> {
  const { compileModel, numberDuplicates, parseLabels } = await import('@whet/trainer');
  const model = await readNamedFile(path, 'an ONNX model');
  const {
    out,
    trainable,
    pattern,
    name,
    description,
    labels,
    numberDuplicates: isNumbered,
    verbose = false,
    quantize: _,
    ...others
  } = options;
  const listed =
    labels === undefined ? undefined : parseLabels(await readNamedFile(labels, 'a file of labels'), labels);
  const names = listed && isNumbered ? numberDuplicates(listed) : listed;
  const patterns = new Map(pattern);
  if (trainable || patterns.size === 0) {
    const key = trainable ? 'trainable' : 'head';
    if (patterns.has(key)) throw new Error(`--trainable makes a pattern "${key}", which --pattern names too`);
    patterns.set(key, trainable ?? ['none']);
  }
  const quantize = await quantizeOf(options);
  let report: CompileReport;
  try {
    report = await compileModel({
      ...others,
      ...readingOf(options),
      model,
      fileName: basename(path),
      external: externalDataReader(dirname(path)),
      directory: out,
      name: name ?? nameOfPlace(out),
      patterns: Object.fromEntries(patterns),
      limits: limitsOf(options),
      ...(names ? { labels: names } : {}),
      ...(description ? { description } : {}),
      ...(quantize ? { quantize } : {}),
    });
  } catch (cause) {
    throw new Error(`${path}: ${(cause as Error).message}`, { cause });
  }
  process.stdout.write(describe(report, verbose, options.budget));
  process.stdout.write(writtenLine(out, report.manifest));
}

const share = (part: number, whole: number | undefined): string => (whole ? ` (${percent(part / whole)})` : '');
const millions = (count: number): string => `${(count / 1e6).toFixed(2)} M`;

/** What the head reads beside the features. */
function describeLevels({ levels }: CompileReport['model']): string[] {
  if (levels.length === 0) return [];
  const means = levels.map(({ value: { name, shape } }) => `"${name}" [${shape.join(', ')}]`).join(' and ');
  return [`beside them the means of ${means}, which blocks below make`];
}

/** Which classes the head starts with: a new one has those of the examples. */
function describeHead({ head, manifest: { head: kind, labels = [] } }: CompileReport): string {
  if (!head) {
    const start = kind === 'cosine' ? 'direction of its examples’ features' : 'feature of its examples';
    return `head: ${kind}, of any number of classes, each from the mean ${start}`;
  }
  const shown = labels.slice(0, 8).join(', ') + (labels.length > 8 ? ', ...' : '');
  return `head: kept from "${head.name}", ${head.classes} classes (${shown}); other labels add classes`;
}

/** What else could have been the head: other outputs, and layers whose results are added up. */
function describeOthers({ otherOutputs, joinedLayers }: CompileReport['model']): string[] {
  const list = (names: readonly string[]) => names.map((name) => `"${name}"`).join(', ');
  return [
    ...(otherOutputs.length > 0 ? [`outputs of other layers, left out: ${list(otherOutputs)}`] : []),
    ...(joinedLayers.length > 0 ? [`layers whose results the model adds up: ${list(joinedLayers)}`] : []),
  ].map((line) => `${line}; --features TENSOR chooses what is adapted`);
}

/** What moves, and per pattern where the frozen part ends and what a step costs. */
function describe(report: CompileReport, verbose: boolean, budget?: number): string {
  const { model, patterns, fullCost, manifest } = report;
  const rows = patterns.map(({ name, moving, boundary, encoded, stepCost }) => [
    name === manifest.defaultPattern ? `${name} (default)` : name,
    `${numbersOf(moving)} + head`,
    encoded ? `${boundary.join(', ')} (${encoded})` : 'nothing is frozen',
    `${millions(stepCost.multiplyAdds)}${share(stepCost.multiplyAdds, fullCost?.multiplyAdds)}`,
    `${bytes(stepCost.activationBytes)}${share(stepCost.activationBytes, fullCost?.activationBytes)}`,
  ]);
  const [channels, height, width] = model.input.shape;
  const { shape, length, mean } = model.layout;
  const pooled = mean.length > 0 ? ` (the mean of [N, ${shape.join(', ')}])` : '';
  return [
    `images [N, ${channels}, ${height}, ${width}] to features "${model.features}" [N, ${length}]${pooled}`,
    ...describeLevels(model),
    describeHead(report),
    ...describeOthers(model),
    ...(verbose ? parameterTable(report) : summaryOfParameters(report)),
    `An inner step, one example and ${report.head?.classes ?? 5} classes; in brackets of a step that moves all that can:`,
    formatTable(['pattern', 'moving', 'frozen up to', 'multiply-adds', 'activations'], rows),
    ...describeMoments(patterns, manifest),
    ...(report.quantized ? describeQuantized(report.quantized, budget) : []),
    '',
  ].join('\n');
}

/** What moments of the examples change, if a profile stores any: which frozen parts are not the file's, and what that takes. */
function describeMoments(
  patterns: CompileReport['patterns'],
  { patterns: files }: CompileReport['manifest'],
): string[] {
  const lines = patterns.flatMap(({ name, encodeCost }) => {
    const all = files[name]?.normalizations;
    if (!all) return [];
    const frozen = all.filter((normalization) => normalization.frozen).length;
    const count = `${name}: ${frozen} of ${all.length} in the frozen part`;
    return frozen === 0 || !encodeCost
      ? count
      : `${count}, which is encoded anew and runs over all examples at once: ${bytes(encodeCost.activationBytes)} of activations an example`;
  });
  if (lines.length === 0) return [];
  return ['BatchNormalization takes the moments of the examples, which are stored in the profile:', ...lines];
}
