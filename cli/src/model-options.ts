import type { Preprocessing } from '@whet/runtime';
import { FITS, GREYS, KERNELS, storedNumbers } from '@whet/runtime/format';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { count, heightAndWidth, pixelRange, wholeNumber } from './arguments.js';

// How an ONNX model is read, and how images become its input: what `compile` and `train --model` have in common.

export interface ModelOptions {
  readonly features?: string;
  readonly levels?: number;
  readonly size?: [number, number];
  readonly layout?: 'nchw' | 'nhwc';
  readonly pixels?: 1 | 255;
  readonly fit?: Preprocessing['fit'];
  readonly resize?: number;
  readonly kernel?: Preprocessing['kernel'];
  readonly grey?: NonNullable<Preprocessing['grey']>;
  readonly bgr?: boolean;
  readonly background?: number;
}

/** Every one of them, as it is written. */
export const MODEL_OPTIONS = {
  features: '--features',
  levels: '--levels',
  size: '--size',
  layout: '--layout',
  pixels: '--pixels',
  fit: '--fit',
  resize: '--resize',
  kernel: '--kernel',
  grey: '--grey',
  bgr: '--bgr',
  background: '--background',
} as const satisfies Record<keyof ModelOptions, string>;

function light(text: string): number {
  const value = wholeNumber(text);
  if (value > 255) throw new InvalidArgumentError('expected 0 to 255.');
  return value;
}

export const addModelOptions = (command: Command): Command =>
  command
    .option(
      '--features <tensor>',
      'tensor that is the features; what the last Gemm, MatMul or 1x1 Conv reads when absent',
    )
    .option(
      '--levels <n>',
      'blocks whose results, their means over the image, a cosine head reads beside the features (default: the last 2)',
      wholeNumber,
    )
    .option('--size <HxW>', 'height and width, for a model that takes images of any size', heightAndWidth)
    .addOption(
      new Option('--layout <order>', 'axes of the model’s images, where its input does not show them').choices([
        'nchw',
        'nhwc',
      ]),
    )
    .option(
      '--pixels <range>',
      'white, before --mean and --std, is 1 or 255; needed where these are above 1',
      pixelRange,
    )
    .addOption(
      new Option(
        '--fit <how>',
        'another aspect ratio is contained, with background beside it, cut, or stretched (default: contain)',
      ).choices(FITS),
    )
    .option('--resize <n>', 'of --fit cover: pixels of the shorter side, of which the middle is cut out', count)
    .addOption(
      new Option('--kernel <name>', 'how pixels are weighed when an image is resized (default: lanczos3)').choices(
        KERNELS,
      ),
    )
    .addOption(
      new Option('--grey <how>', 'of one channel: linear light, or 0.299 R + 0.587 G + 0.114 B').choices(GREYS),
    )
    .option('--bgr', 'the model takes blue, green, red; --mean and --std are in that order')
    .option('--background <level>', 'colour around images of another aspect ratio, 0 to 255 (default: 255)', light);

export const profilesOption = (): Option =>
  new Option(
    '--profiles <numbers>',
    'what profiles store: float32, or int8, about a quarter of the bytes (default: float32)',
  ).choices(storedNumbers);

/** The same for `compileModel` and `newModelRun`. */
export function readingOf({ size, pixels, ...options }: ModelOptions) {
  const { features, levels, layout, fit, resize, kernel, grey, bgr, background } = options;
  const given = { features, levels, layout, fit, resize, kernel, grey, bgr, background };
  const named = { imageSize: size, pixelRange: pixels, ...given };
  type Named = typeof named;
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)) as {
    readonly [K in keyof Named]?: NonNullable<Named[K]>;
  };
}
