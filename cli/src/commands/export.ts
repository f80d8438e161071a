import type { Manifest } from '@whet/runtime';
import type { StoredNumbers } from '@whet/runtime/format';
import type { ExportModelOptions, QuantizedPattern } from '@whet/trainer';
import { Command } from 'commander';
import { positiveNumber, wholeNumber } from '../arguments.js';
import { formatTable, percent } from '../format.js';
import { addFrozenOptions, describeQuantized, type FrozenOptions, quantizeOf } from '../frozen-options.js';
import { addLimitOptions, type LimitOptions, limitsOf } from '../limit-options.js';
import { readNamedModel } from '../model-file.js';
import { profilesOption } from '../model-options.js';
import { readNamedJson } from '../named-file.js';
import { choosePatterns, namedLists, SEARCHED } from '../patterns.js';
import { nameOfPlace, writtenLine } from '../written.js';

interface ExportOptions extends FrozenOptions, LimitOptions {
  readonly out: string;
  readonly model?: string;
  readonly name?: string;
  readonly bundleVersion: string;
  readonly description?: string;
  readonly patterns?: string[];
  readonly pattern?: Map<string, string[]>;
  readonly views?: boolean;
  readonly search?: string;
  readonly default?: string;
  readonly steps?: number;
  readonly rate?: number;
  readonly learned: boolean;
  readonly headScale?: number;
  readonly policy?: string;
  readonly profiles?: StoredNumbers;
  readonly provenance?: string;
}

export function exportCommand(): Command {
  const command = new Command('export')
    .description('Compile a checkpoint into a bundle: frozen prefix, step with its gradients, prediction, per pattern.')
    .argument('<checkpoint>', 'a checkpoint of `whet train`')
    .requiredOption('--out <place>', 'folder of the bundle, or a file that ends in .whet')
    .option('--model <place>', 'the ONNX model, or the bundle, of a checkpoint of `whet train --model`')
    .option('--name <name>', 'name of the bundle; the folder’s when absent')
    .option('--bundle-version <version>', 'version of the bundle', '0.1.0')
    .option('--description <text>', 'one line that says what the bundle is for')
    .option('--patterns <names...>', 'patterns to compile; all of full, head, from-<layer>, sparse when absent')
    .option(
      '--pattern <name=layers>',
      'one more, in which these layers move, e.g. fast=block4,head; repeat it for several. With --model as `whet compile` selects, beside `head`, `block` and `learned`',
      namedLists('NAME=LAYER,... e.g. fast=block4,head'),
    )
    .option(
      '--views',
      'one more, "head-views": only the head moves, on features averaged over small shifts and zooms of each image',
    )
    .option('--search <file>', `search.json of \`whet search\`: adds what it chose as "${SEARCHED}", the default`)
    .option(
      '--default <pattern>',
      'pattern used where a caller names none; of a model also auto, which chooses one (its default)',
    )
    .option('--steps <n>', 'inner steps at adaptation; those of training when absent', wholeNumber)
    .option('--rate <x>', 'inner learning rate at adaptation; that of training when absent', positiveNumber)
    .option('--no-learned', 'of a model: leave out patterns of learned masks; take the learned start weights alone')
    .option(
      '--head-scale <x>',
      'of a model: multiplies the logits of heads, in place of what was learned',
      positiveNumber,
    )
    .option('--policy <file>', 'of a model: JSON of what auto does by the loss of views of the examples')
    .addOption(profilesOption())
    .option('--provenance <file>', 'JSON object to keep in the manifest: commands, data, notes');
  return addFrozenOptions(addLimitOptions(command)).action(runExport);
}

/** Characters that a table has for layers. */
const LAYERS_WIDTH = 60;

function layersText(layers: readonly string[]): string {
  const all = layers.join(' ');
  return all.length <= LAYERS_WIDTH ? all : `${layers.length} layers`;
}

/** How the bundle is stored, its frozen part computed, and what an adaptation may have. */
type Stored = Pick<ExportModelOptions, 'quantize' | 'half' | 'limits'>;

/** A bundle of a run that learned where a model learns. */
async function exportModel(path: string, options: ExportOptions, stored: Stored): Promise<Manifest> {
  const { exportModelRun, openModelRun } = await import('@whet/trainer');
  const { model, out, bundleVersion, description, pattern, steps, rate } = options;
  if (model === undefined) throw new Error(`${path} learned where a model learns: expected --model, the ONNX file`);
  const given = Object.entries({
    '--patterns': options.patterns,
    '--views': options.views,
    '--search': options.search,
  });
  const others = given.flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (others.length > 0)
    throw new Error(`${others.join(', ')}: expected without --model; --pattern NAME=SELECTION adds patterns`);
  const { file } = await readNamedModel(model);
  const run = await openModelRun(file, path);
  const { manifest } = await exportModelRun({
    run,
    file,
    directory: out,
    name: options.name ?? nameOfPlace(out),
    version: bundleVersion,
    provenance: await provenanceOf(options),
    ...(description === undefined ? {} : { description }),
    ...(pattern ? { patterns: Object.fromEntries(pattern) } : {}),
    ...(options.default === undefined ? {} : { defaultPattern: options.default }),
    ...(steps === undefined ? {} : { steps }),
    ...(rate === undefined ? {} : { rate }),
    ...(options.profiles ? { profiles: options.profiles } : {}),
    ...stored,
    learned: options.learned,
    ...(options.headScale === undefined ? {} : { headScale: options.headScale }),
    ...(options.policy ? { policy: await readNamedJson(options.policy, 'a policy') } : {}),
  });
  return manifest;
}

const provenanceOf = async ({ provenance }: ExportOptions): Promise<Record<string, unknown>> =>
  provenance ? ((await readNamedJson(provenance, 'provenance')) as Record<string, unknown>) : {};

async function runExport(path: string, options: ExportOptions): Promise<void> {
  const { modelRunConfigOf } = await import('@whet/trainer');
  const isModel = options.model !== undefined || (await modelRunConfigOf(path)) !== undefined;
  const quantize = await quantizeOf(options);
  const stored = { ...(quantize ? { quantize } : {}), half: options.half, limits: limitsOf(options) };
  const manifest = await (isModel ? exportModel : exportNetwork)(path, options, stored);
  const rows = Object.entries(manifest.patterns).map(([pattern, { moving, layers, features }]) => {
    const moved = moving.reduce((sum, weight) => sum + weight.moving, 0);
    const entries = moving.reduce((sum, weight) => sum + weight.entries, 0);
    return [
      pattern === manifest.defaultPattern && !manifest.auto ? `${pattern} (default)` : pattern,
      layersText(layers),
      `${moved} + head`,
      entries === 0 ? '-' : percent(moved / entries),
      features.join(' x '),
    ];
  });
  const head = ['pattern', 'moving layers', 'moving weights', 'of those layers', 'cached features'];
  process.stdout.write(`${formatTable(head, rows)}\n`);
  if (manifest.auto) process.stdout.write('default: auto, by which examples choose among them\n');
  const { quantization } = manifest.provenance as { quantization?: { patterns: Record<string, QuantizedPattern> } };
  if (quantization) {
    process.stdout.write(`${describeQuantized(quantization.patterns, options.budget).join('\n')}\n`);
  }
  process.stdout.write(writtenLine(options.out, manifest));
}

/** Throws naming options that say what of a model is taken, and nothing about a network. */
function refuseModelOptions({ policy, headScale, learned }: ExportOptions): void {
  const given = Object.entries({
    '--policy': policy !== undefined,
    '--head-scale': headScale !== undefined,
    '--no-learned': !learned,
  });
  const names = given.flatMap(([name, isGiven]) => (isGiven ? [name] : []));
  if (names.length > 0) throw new Error(`${names.join(', ')}: expected of a checkpoint of \`whet train --model\``);
}

/** A bundle of a run that trained a network. */
async function exportNetwork(path: string, options: ExportOptions, stored: Stored): Promise<Manifest> {
  refuseModelOptions(options);
  const trainer = await import('@whet/trainer');
  const checkpoint = await trainer.loadCheckpoint(path);
  const { patterns, found } = await choosePatterns(path, checkpoint, options);
  const defaultPattern = options.default ?? found?.name;
  if (defaultPattern !== undefined && !patterns.some(({ name }) => name === defaultPattern)) {
    const names = patterns.map(({ name }) => name).join(', ');
    throw new Error(`--default: expected one of the patterns ${names}, got "${defaultPattern}"`);
  }
  const provenance = await provenanceOf(options);
  const name = options.name ?? nameOfPlace(options.out);
  const { model, preprocessing } = checkpoint.config;
  // Checkpoints of drawings, from before they said how images are prepared.
  if (!preprocessing && model.imageChannels !== 1) {
    throw new Error(`${path}: expected a checkpoint that says how images are prepared (preprocessing), got none`);
  }
  return trainer.exportBundle({
    checkpoint,
    directory: options.out,
    name,
    version: options.bundleVersion,
    description: options.description ?? `${checkpoint.config.model.architecture}, ${checkpoint.config.rule}`,
    preprocessing: preprocessing ?? trainer.omniglotPreprocessing(model.imageSize),
    patterns,
    provenance: { ...provenance, ...(found ? { search: found.summary } : {}) },
    ...(defaultPattern === undefined ? {} : { defaultPattern }),
    ...(options.steps === undefined ? {} : { steps: options.steps }),
    ...(options.rate === undefined ? {} : { rate: options.rate }),
    ...(options.profiles ? { profiles: options.profiles } : {}),
    ...stored,
  });
}
