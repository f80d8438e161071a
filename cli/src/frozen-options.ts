import { basename, relative, resolve, sep } from 'node:path';
import type {
  CalibrationSource,
  FileClass,
  ImageFiles,
  QuantizedPattern,
  QuantizeOptions,
  RangeMethod,
} from '@whet/trainer';
import { type Command, Option } from 'commander';
import { nonNegative } from './arguments.js';
import { openData, recogniseData } from './data.js';
import { formatTable } from './format.js';
import { readNamedFile } from './named-file.js';

// How what does not move is stored and computed: what `compile` and `export` have in common.

export interface FrozenOptions {
  readonly quantize?: 'int8';
  readonly calibrate?: string[];
  readonly ranges?: RangeMethod;
  readonly budget?: number;
  readonly half?: boolean;
}

export const addFrozenOptions = (command: Command): Command =>
  command
    .addOption(
      new Option(
        '--quantize <numbers>',
        'compute the frozen part with bytes; needs --calibrate (default: float32)',
      ).choices(['int8']),
    )
    .option(
      '--calibrate <folders...>',
      'of --quantize: images that show what activations reach: <class>/<image>, images of no class, or data sets (their training classes)',
    )
    .addOption(
      new Option(
        '--ranges <method>',
        'of --quantize: all that activations reach, or all but a ten-thousandth (default: percentile)',
      ).choices(['min-max', 'percentile']),
    )
    .option(
      '--budget <points>',
      'of --quantize: accuracy that may surely be lost, each image asked about by its class’s others, among all classes; what costs most stays in float32 (default: 1)',
      nonNegative,
    )
    .option('--half', 'store weights as float16; they are computed with as float32');

/** One class of the images that stand in a folder itself. */
async function flatImages(directory: string): Promise<ImageFiles | undefined> {
  const { listImages } = await import('@whet/runtime/images');
  const { files } = await listImages(directory);
  const own = files.filter((path) => !relative(directory, path).includes(sep));
  if (own.length === 0 || own.length < files.length) return undefined;
  const only: FileClass = {
    name: 'images',
    count: own.length,
    read: async (i) => {
      const place = own[i] as string;
      return { bytes: await readNamedFile(place, 'an image'), place };
    },
  };
  return { name: basename(resolve(directory)), split: 'train', classes: [only] };
}

/** How the frozen part becomes bytes; undefined where it does not. Throws naming an option that needs another. */
export async function quantizeOf(options: FrozenOptions): Promise<QuantizeOptions | undefined> {
  const { quantize, calibrate, ranges, budget } = options;
  if (!quantize) {
    const others = Object.entries({ '--calibrate': calibrate, '--ranges': ranges, '--budget': budget });
    const given = others.flatMap(([name, value]) => (value === undefined ? [] : [name]));
    if (given.length > 0) throw new Error(`${given.join(', ')}: expected --quantize int8 with it`);
    return undefined;
  }
  if (calibrate === undefined) {
    throw new Error('--quantize: expected --calibrate FOLDER with images like those that will be adapted to');
  }
  const images: CalibrationSource[] = [];
  for (const folder of calibrate) images.push(await calibrationImages(folder));
  return { images, ...(ranges ? { ranges } : {}), ...(budget === undefined ? {} : { budget }) };
}

/** Images that stand in a folder itself, or those of a data set. Throws naming the folder where it is neither. */
async function calibrationImages(folder: string): Promise<CalibrationSource> {
  const flat = await flatImages(folder).catch(() => undefined);
  if (flat) return { files: flat, labelled: false };
  try {
    return { files: await openData(await recogniseData(folder), 'train') };
  } catch (cause) {
    throw new Error((cause as Error).message.replace(/^--data /, '--calibrate '), { cause });
  }
}

/** What became of frozen parts, a line a pattern, and which layers stayed in float32. */
export function describeQuantized(report: Readonly<Record<string, QuantizedPattern>>, budget = 1): string[] {
  const few = Object.values(report).some(({ lost }) => lost !== undefined && lost.halfWidth > budget);
  const rows = Object.entries(report).map(([name, { layers, float, distance, lost }]) => [
    name,
    `${layers} of ${layers + float.length}`,
    `${(100 * distance).toFixed(1)} %`,
    lost
      ? `${lost.points.toFixed(1)} ± ${lost.halfWidth.toFixed(1)} points of ${lost.images} images`
      : 'not measured: it takes two classes of three images',
  ]);
  const left = Object.entries(report).flatMap(([name, { float }]) =>
    float.map((layer) => `${name}: "${layer.name}" stays in float32: ${layer.reason}`),
  );
  return [
    'The frozen part computes with bytes:',
    formatTable(['pattern', 'layers as bytes', 'features moved', 'accuracy lost'], rows),
    ...left,
    ...(few ? [`So few images do not tell ${budget} points: the intervals are wider.`] : []),
  ];
}
