import type { GraphBuilder, Value } from '@whet/compiler';
import { int64s } from '@whet/compiler';
import type { Backbone, NormalizeBy, ParameterSpec } from './backbone.js';
import { momentsBy, normalize } from './normalization.js';

export interface ResNet12Settings {
  /** Output channels of each block. */
  readonly channels: readonly [number, number, number, number];
  readonly imageChannels: number;
  readonly imageSize: number;
}

export const resnet12Defaults: ResNet12Settings = {
  channels: [64, 128, 256, 512],
  imageChannels: 3,
  imageSize: 84,
};

/** Slope of LeakyReLU below 0. */
const SLOPE = 0.01;

/** A convolution without bias that keeps the image's size, and the normalization of its output. */
interface Convolution {
  readonly weight: string;
  readonly norm: string;
  readonly inputs: number;
  readonly outputs: number;
  /** Width of the square kernel. */
  readonly kernel: 1 | 3;
}

interface Block {
  readonly name: string;
  readonly residual: readonly Convolution[];
  readonly shortcut: Convolution;
}

function blocksOf({ channels, imageChannels }: ResNet12Settings): Block[] {
  return channels.map((outputs, i) => {
    const name = `block${i + 1}`;
    const inputs = i === 0 ? imageChannels : (channels[i - 1] as number);
    const residual = [inputs, outputs, outputs].map((from, at): Convolution => {
      const [weight, norm] = [`${name}.conv${at + 1}.weight`, `${name}.norm${at + 1}`];
      return { weight, norm, inputs: from, outputs, kernel: 3 };
    });
    const [weight, norm] = [`${name}.shortcut.conv.weight`, `${name}.shortcut.norm`];
    return { name, residual, shortcut: { weight, norm, inputs, outputs, kernel: 1 } };
  });
}

const convolutionsOf = ({ residual, shortcut }: Block): Convolution[] => [...residual, shortcut];

function parametersOf(block: Block): ParameterSpec[] {
  const layer = block.name;
  return convolutionsOf(block).flatMap(({ weight, norm, inputs, outputs, kernel }): ParameterSpec[] => [
    {
      name: weight,
      shape: [outputs, inputs, kernel, kernel],
      layer,
      // By the fan out, for LeakyReLU (He et al. 2015, eq. 14 and 15).
      initializer: { kind: 'normal', deviation: Math.sqrt(2 / ((1 + SLOPE ** 2) * outputs * kernel ** 2)) },
    },
    { name: `${norm}.weight`, shape: [outputs], layer, initializer: { kind: 'constant', value: 1 } },
    { name: `${norm}.bias`, shape: [outputs], layer, initializer: { kind: 'constant', value: 0 } },
  ]);
}

/**
 * The residual network of the few-shot literature (Oreshkin et al. 2018), by default with the channels and the slope of
 * sparse-MAML's reference (von Oswald et al. 2021). Four blocks of three 3x3 convolutions with padding 1, each normalized
 * with scale and shift, and a normalized 1x1 convolution of the block's input that is added to the third; LeakyReLU with
 * slope 0.01 after the first two and after the sum; then halving of the image by max pooling. Features `[N, C]`, C the
 * channels of block 4, are means over what is left of the image. By default 7,996,800 parameters, without the head. Throws a
 * RangeError where the image is smaller than 16 pixels and pooling would leave nothing of it, or where `channels` does not
 * list four blocks.
 */
export function resnet12(partial: Partial<ResNet12Settings> = {}): Backbone {
  const settings = { ...resnet12Defaults, ...partial };
  const { imageChannels, imageSize } = settings;
  const channels: readonly number[] = settings.channels;
  if (channels.length !== 4) throw new RangeError(`resnet12: expected channels of 4 blocks, got ${channels.length}`);
  const blocks = blocksOf(settings);
  if (imageSize < 2 ** blocks.length) {
    throw new RangeError(`resnet12: an image of ${imageSize} pixels is too small for ${blocks.length} blocks`);
  }
  return {
    architecture: 'resnet12',
    settings: { ...settings },
    imageShape: [imageChannels, imageSize, imageSize],
    features: channels.at(-1) as number,
    parameters: blocks.flatMap(parametersOf),
    normalizations: blocks.flatMap(convolutionsOf).map(({ norm, outputs }) => ({ name: norm, channels: outputs })),
    layers: blocks.map(({ name }) => name),
    build: (g, images, parameter, normalizeBy) => {
      let x = images;
      for (const block of blocks) x = g.scope(block.name, () => buildBlock(g, x, block, parameter, normalizeBy));
      return g.apply('ReduceMean', [x, g.constant(int64s([2, 3]))], { keepdims: 0 }, 'average');
    },
  };
}

function buildBlock(
  g: GraphBuilder,
  input: Value,
  { residual, shortcut }: Block,
  parameter: (name: string) => Value,
  normalizeBy: NormalizeBy,
): Value {
  const convolve = (x: Value, { weight, norm, kernel }: Convolution): Value => {
    const border = (kernel - 1) / 2;
    const pads = [border, border, border, border] as const;
    const attributes = { kernel_shape: [kernel, kernel], strides: [1, 1], pads, dilations: [1, 1], group: 1 } as const;
    const convolved = g.apply('Conv', [x, parameter(weight)], attributes, 'conv');
    const [scale, shift] = [parameter(`${norm}.weight`), parameter(`${norm}.bias`)];
    return g.scope('norm', () => normalize(g, convolved, momentsBy(g, normalizeBy, norm, convolved), scale, shift));
  };
  const activate = (x: Value): Value => g.apply('LeakyRelu', [x], { alpha: SLOPE }, 'relu');
  let x = input;
  for (const [i, convolution] of residual.entries()) {
    x = g.scope(`conv${i + 1}`, () => convolve(i === 0 ? x : activate(x), convolution));
  }
  const sum = g.apply('Add', [x, g.scope('shortcut', () => convolve(input, shortcut))], {}, 'sum');
  // Pooling before LeakyReLU gives the same values and leaves three quarters of it out.
  const pooled = g.apply('MaxPool', [sum], { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] }, 'pool');
  return activate(pooled);
}
