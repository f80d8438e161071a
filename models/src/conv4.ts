import type { GraphBuilder, Value } from '@whet/compiler';
import { reshape } from '@whet/compiler';
import type { Backbone, NormalizeBy, ParameterSpec } from './backbone.js';
import { momentsBy, normalize, normalizePooled, signsOf } from './normalization.js';

export interface Conv4Settings {
  /** Output channels of every block, or of each. */
  readonly channels: number | readonly number[];
  readonly blocks: number;
  readonly imageChannels: number;
  readonly imageSize: number;
  /** Halve the image by max pooling (most papers), or by the stride of the convolution (MAML's Omniglot network). */
  readonly downsample: 'pool' | 'stride';
  /** A bias before normalization has no effect under batch moments; the papers' code has one. */
  readonly convolutionBias: boolean;
}

export const conv4Defaults: Conv4Settings = {
  channels: 64,
  blocks: 4,
  imageChannels: 1,
  imageSize: 28,
  downsample: 'pool',
  convolutionBias: false,
};

/** Image size after one block. */
function halved(size: number, downsample: Conv4Settings['downsample']): number {
  return downsample === 'pool' ? Math.floor(size / 2) : Math.floor((size - 1) / 2) + 1;
}

/**
 * The four-block convolutional network of the few-shot literature (Vinyals et al. 2016; Finn et al. 2017): each block
 * is a 3x3 convolution with padding 1, normalization with scale and shift, ReLU, and halving of the image.
 * Throws a RangeError where the image is too small for the number of blocks, or `channels` lists another number of them.
 */
export function conv4(partial: Partial<Conv4Settings> = {}): Backbone {
  const settings = { ...conv4Defaults, ...partial };
  const { channels, blocks, imageChannels, imageSize, downsample } = settings;
  let size = imageSize;
  for (let block = 1; block <= blocks; block++) {
    size = halved(size, downsample);
    if (size < 1) throw new RangeError(`conv4: an image of ${imageSize} pixels is too small for ${blocks} blocks`);
  }
  if (typeof channels !== 'number' && channels.length !== blocks) {
    throw new RangeError(`conv4: expected channels of ${blocks} blocks, got ${channels.length}`);
  }
  const numbers = Array.from({ length: blocks }, (_, i) => i + 1);
  return {
    architecture: 'conv4',
    settings: { ...settings },
    imageShape: [imageChannels, imageSize, imageSize],
    features: channelsOf(settings, blocks) * size * size,
    parameters: numbers.flatMap((block) => blockParameters(settings, block)),
    normalizations: numbers.map((block) => ({ name: `norm${block}`, channels: channelsOf(settings, block) })),
    layers: numbers.map((block) => `block${block}`),
    build: (g, images, parameter, normalizeBy) => {
      let x = images;
      for (const block of numbers) {
        x = g.scope(`block${block}`, () => buildBlock(g, x, block, settings, parameter, normalizeBy));
      }
      const [n, ...rest] = x.shape as [number | string, ...number[]];
      return reshape(g, x, [n, rest.reduce((a, b) => a * b, 1)]);
    },
  };
}

/** Output channels of a block, counted from 1; those of block 0 are the image's. */
function channelsOf({ channels, imageChannels }: Conv4Settings, block: number): number {
  if (block === 0) return imageChannels;
  return typeof channels === 'number' ? channels : (channels[block - 1] as number);
}

function blockParameters(settings: Conv4Settings, block: number): ParameterSpec[] {
  const { convolutionBias } = settings;
  const inputs = channelsOf(settings, block - 1);
  const channels = channelsOf(settings, block);
  const layer = `block${block}`;
  const constant = (name: string, value: number): ParameterSpec => ({
    name,
    shape: [channels],
    layer,
    initializer: { kind: 'constant', value },
  });
  return [
    {
      name: `conv${block}.weight`,
      shape: [channels, inputs, 3, 3],
      layer,
      initializer: { kind: 'normal', deviation: Math.sqrt(2 / (inputs * 9)) },
    },
    ...(convolutionBias ? [{ ...constant(`conv${block}.bias`, 0), normalizedAway: true as const }] : []),
    constant(`norm${block}.weight`, 1),
    constant(`norm${block}.bias`, 0),
  ];
}

function buildBlock(
  g: GraphBuilder,
  x: Value,
  block: number,
  settings: Conv4Settings,
  parameter: (name: string) => Value,
  normalizeBy: NormalizeBy,
): Value {
  const stride = settings.downsample === 'stride' ? 2 : 1;
  const scale = parameter(`norm${block}.weight`);
  const shift = parameter(`norm${block}.bias`);
  const pool = (value: Value): Value =>
    g.apply('MaxPool', [value], { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] }, 'pool');
  const convolve = (turn: (value: Value) => Value): Value =>
    g.apply(
      'Conv',
      [
        x,
        turn(parameter(`conv${block}.weight`)),
        ...(settings.convolutionBias ? [turn(parameter(`conv${block}.bias`))] : []),
      ],
      { kernel_shape: [3, 3], strides: [stride, stride], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 },
      'conv',
    );
  // Pooling before ReLU gives the same values and leaves three quarters of the ReLU out.
  return g.apply('Relu', [halvedImage()], {}, 'relu');

  function halvedImage(): Value {
    if (stride === 1 && normalizeBy === 'image') {
      const signs = signsOf(g, scale);
      const turned = convolve((value) =>
        g.apply('Mul', [value, reshape(g, signs, [...signs.shape, ...value.shape.slice(1).map(() => 1)])], {}),
      );
      return g.scope('norm', () => normalizePooled(g, turned, signs, scale, shift, pool));
    }
    const convolved = convolve((value) => value);
    const normal = g.scope('norm', () =>
      normalize(g, convolved, momentsBy(g, normalizeBy, `norm${block}`, convolved), scale, shift),
    );
    return stride === 2 ? normal : pool(normal);
  }
}
