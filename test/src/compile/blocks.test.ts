import { readFile } from 'node:fs/promises';
import { graphCost, onnxMessage, slice, type Value } from '@whet/compiler';
import { type ModelParameter, readModel } from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { lacking } from '../needs.js';
import {
  type Build,
  basic,
  convFormer,
  convNext,
  convolutions,
  convolvingEncoder,
  encoder,
  mixer,
  mobile,
  networkOf,
  patches,
} from './block-networks.js';
import { compileBytes, expectAsFile } from './compile-helpers.js';

/** A file of EfficientNet-Lite0. */
const LITE0 = process.env['WHET_LITE0'];

/** What parameters are called before their first dot, each once: `a` of `a.conv2.norm.bias`. */
const partsOf = (parameters: readonly ModelParameter[]) =>
  [...new Set(parameters.map(({ tensor }) => tensor.split('.')[0]))].join(' ');

/** Blocks by number, and what stands beside them by `-`, with the parts of the network that they hold, from the image upward. */
async function sectionsOf(build: Build, folded = false): Promise<string[]> {
  const { sections, parameters } = await readModel(networkOf(build, folded), {});
  const held = sections.flatMap((section) => section.parameters);
  expect(held.length).toBe(parameters.length);
  expect(new Set(held)).toEqual(new Set(parameters));
  return sections
    .filter((section) => section.parameters.length > 0)
    .map((section) => `${section.block ?? '-'} ${partsOf(section.parameters)}`);
}

const residual: Build = (n, x) => {
  // A stem of as many convolutions as a block has, as ResNet-D's, is none.
  const stem = ['stem1', 'stem2'].reduce((y, name) => n.apply('Relu', n.convolution(y, name, 4, { norm: true })), x);
  const a = basic(n, n.pool(stem), 'a');
  return basic(n, basic(n, basic(n, a, 'b', 6, 2), 'c'), 'd', 8);
};

const vision =
  (apart: boolean): Build =>
  (n, x) => {
    const rows = ['a', 'b', 'c'].reduce((y, name) => encoder(n, y, name, apart), patches(n, x));
    return n.meanOfRows(n.normalizeRows(rows, 'top'));
  };

const separable: Build = (n, x) => {
  let y = n.apply('Relu', n.convolution(x, 'stem', 4));
  for (const name of ['a', 'b', 'c']) {
    const group = y.shape[1] as number;
    y = n.apply('Relu', n.convolution(y, `${name}.depthwise`, group, { group, norm: true }));
    y = n.apply('Relu', n.convolution(y, `${name}.pointwise`, group + 1, { side: 1, norm: true }));
  }
  return y;
};

describe('blocks of a network', () => {
  it.each<[string, Build, string[]]>([
    [
      'inverted residuals, with and without a shortcut, the first without its expansion',
      mobile,
      ['- stem', '6 a', '5 b', '4 c', '3 d', '2 e', '1 f', '- top'],
    ],
    [
      'inverted residuals whose convolutions of several widths stand side by side',
      (n, x) => {
        const sided = (from: Value, name: string) => {
          const wide = n.convolution(from, `${name}.expand`, 6, { side: 1 });
          const halves = [0, 3].map((at) => slice(n.g, wide, [1], [at], [at + 3]));
          const deep = halves.map((half, i) => n.convolution(half, `${name}.${i}`, 3, { side: 3 + 2 * i, group: 3 }));
          return n.convolution(n.apply('Relu', n.concat(...deep)), `${name}.project`, 4, { side: 1 });
        };
        const joined = (from: Value, name: string) => n.binary('Add', from, sided(from, name));
        return joined(sided(joined(n.convolution(x, 'stem', 4), 'a'), 'b'), 'c');
      },
      ['- stem', '3 a', '2 b', '1 c'],
    ],
    [
      'residual blocks that normalize first, also for their shortcut',
      (n, x) => {
        const first = (from: Value, name: string, out: number) => {
          const y = n.apply('Relu', n.normalize(from, `${name}.norm`));
          const z = n.convolution(n.convolution(y, `${name}.conv1`, out), `${name}.conv2`, out);
          return n.binary('Add', z, out === 4 ? from : n.convolution(y, `${name}.down`, out, { side: 1 }));
        };
        return n.normalize(first(first(first(n.convolution(x, 'stem', 4), 'a', 4), 'b', 6), 'c', 8), 'top');
      },
      ['- stem', '3 a', '2 b', '1 c', '- top'],
    ],
    ['residual blocks, with what is in their shortcuts', residual, ['- stem1 stem2', '4 a', '3 b', '2 c', '1 d']],
    [
      'attention and the feed-forward part above it as one',
      vision(false),
      ['- patch position', '3 a', '2 b', '1 c', '- top'],
    ],
    [
      'attention with a product each for queries, keys and values',
      vision(true),
      ['- patch position', '3 a', '2 b', '1 c', '- top'],
    ],
    [
      'attention and what follows in turns',
      (n, x) =>
        ['a', 'b'].reduce((y, name) => convolvingEncoder(n, y, name), n.convolution(x, 'stem', 4, { stride: 2 })),
      ['- stem', '2 a', '1 b'],
    ],
    [
      'products over places and those over channels as one',
      (n, x) => n.meanOfRows(mixer(n, mixer(n, patches(n, x), 'a'), 'b')),
      ['- patch position', '2 a', '1 b'],
    ],
    [
      'convolutions and the feed-forward part above them as one',
      (n, x) => ['a', 'b'].reduce((y, name) => convFormer(n, y, name), n.convolution(x, 'stem', 4)),
      ['- stem', '2 a', '1 b'],
    ],
    [
      'ConvNeXt’s, with a layer between two stages',
      (n, x) => {
        const stage = convNext(n, convNext(n, n.convolution(x, 'stem', 4), 'a'), 'b');
        return convNext(n, convNext(n, n.convolution(stage, 'between', 6, { stride: 2, norm: true }), 'c'), 'd');
      },
      ['- stem', '4 a', '3 b', '- between', '2 c', '1 d'],
    ],
    [
      'a residual and the layer that follows each, as ConvMixer’s',
      (n, x) => {
        let y = n.convolution(x, 'stem', 4);
        for (const name of ['a', 'b', 'c']) {
          y = n.binary('Add', y, n.apply('Relu', n.convolution(y, `${name}.deep`, 4, { group: 4, norm: true })));
          y = n.apply('Relu', n.convolution(y, `${name}.point`, 4, { side: 1, norm: true }));
        }
        return y;
      },
      ['- stem', '3 a', '2 b', '1 c'],
    ],
    [
      'a layer and those side by side above it, as SqueezeNet’s',
      (n, x) => {
        let y = n.pool(n.apply('Relu', n.convolution(x, 'stem', 4)));
        for (const name of ['a', 'b', 'c']) {
          const squeezed = n.apply('Relu', n.convolution(y, `${name}.squeeze`, 2, { side: 1 }));
          y = n.concat(
            n.convolution(squeezed, `${name}.one`, 3, { side: 1 }),
            n.convolution(squeezed, `${name}.three`, 3),
          );
          if (name === 'b') y = n.pool(y);
        }
        return y;
      },
      ['- stem', '3 a', '2 b', '1 c'],
    ],
    [
      'dense blocks, with layers between',
      (n, x) => {
        const dense = (from: Value, name: string) => {
          const all = [from];
          for (const i of [0, 1, 2]) all.push(n.convolution(n.concat(...all, from), `${name}.${i}`, 2));
          return n.concat(...all);
        };
        return dense(n.pool(n.convolution(dense(n.convolution(x, 'stem', 4), 'a'), 'between', 4, { side: 1 })), 'b');
      },
      ['- stem', '2 a', '- between', '1 b'],
    ],
    [
      'halves of which one goes through layers, as ShuffleNet’s',
      (n, x) => {
        const shuffled = (from: Value, name: string) => {
          const [kept, changed] = [0, 4].map((at) => slice(n.g, from, [1], [at], [at + 4])) as [Value, Value];
          const deep = n.convolution(n.convolution(changed, `${name}.1`, 4, { side: 1 }), `${name}.2`, 4, { group: 4 });
          const joined = n.reshape(n.concat(kept, n.apply('Relu', deep)), -1, 2, 4, 64);
          return n.reshape(n.transpose(joined, 0, 2, 1, 3), -1, 8, 8, 8);
        };
        return shuffled(shuffled(n.convolution(x, 'stem', 8), 'a'), 'b');
      },
      ['- stem', '2 a', '1 b'],
    ],
    ['layers in turns, where nothing is joined', separable, ['- stem', '3 a', '2 b', '1 c']],
    [
      'layers up to a pooling, where nothing else repeats',
      (n, x) => {
        const flat = n.reshape(convolutions('a.1', 'pool', 'b.1', 'b.2', 'pool')(n, x), -1, 16);
        return n.apply('Relu', n.g.apply('Gemm', [flat, n.weight('top.weight', [16, 8])], {}, 'top'));
      },
      ['2 a', '1 b', '- top'],
    ],
    ['none in layers alike', convolutions('a', 'b', 'c'), ['- a b c']],
    ['none where one layer is pooled', convolutions('a', 'pool', 'b'), ['- a b']],
    ['none where one block is joined', (n, x) => basic(n, n.convolution(x, 'stem', 4), 'a'), ['- stem a']],
  ])('are %s', async (_, build, expected) => {
    expect(await sectionsOf(build)).toEqual(expected);
  });

  it('are the same where each convolution has its normalization in it', async () => {
    expect(await sectionsOf(mobile, true)).toEqual(await sectionsOf(mobile));
  });

  it('cost together what the network costs', async () => {
    for (const build of [mobile, residual, vision(false)]) {
      const { sections, featureGraph } = await readModel(networkOf(build), {});
      const { multiplyAdds } = graphCost(featureGraph([]), { N: 1 });
      expect(multiplyAdds).toBeGreaterThan(0);
      expect(sections.reduce((sum, section) => sum + section.multiplyAdds, 0)).toBe(multiplyAdds);
    }
  });

  it('stand above nodes that are not read', async () => {
    const message = onnxMessage('ModelProto');
    const model = message.decode(networkOf((n, x) => residual(n, n.g.apply('Abs', [x], {}, 'unread'))));
    const { node } = (model as unknown as { graph: { node: { opType: string }[] } }).graph;
    for (const each of node) if (each.opType === 'Abs') each.opType = 'Hardmax';
    const { sections, opaque } = await readModel(message.encode(model).finish(), {});
    expect(opaque).toBe(true);
    expect(sections.flatMap(({ block }) => block ?? [])).toEqual([4, 3, 2, 1]);
  });
});

describe('blocks:N', () => {
  const moving = async (model: Uint8Array, selection: string) => {
    const { report } = await compileBytes(model, { patterns: { p: [selection] } });
    return report.patterns[0]?.moving ?? [];
  };

  it('moves the last blocks and all between and above them, and no running mean or variance', async () => {
    const model = networkOf(mobile);
    expect(partsOf(await moving(model, 'blocks:1'))).toBe('f top');
    const three = await moving(model, 'blocks:3');
    expect(partsOf(three)).toBe('d e f top');
    const { parameters } = await readModel(model, {});
    const expected = parameters.filter(({ tensor, moment }) => /^([def]|top)\./.test(tensor) && !moment);
    expect(three.map(({ tensor }) => tensor)).toEqual(expected.map(({ tensor }) => tensor));
    expect(partsOf(await moving(model, 'blocks:6'))).toBe('a b c d e f top');
  });

  it.each<[string, Build]>([
    ['MobileNet', mobile],
    ['ResNet', residual],
    ['vision transformer', vision(false)],
  ])('of a %s freezes up to where the block begins, and computes what the file does', async (_, build) => {
    const model = networkOf(build);
    const report = await expectAsFile(model, { one: ['blocks:1'], two: ['blocks:2'] });
    const { sections } = report.model;
    for (const { moving: moved, boundary, encoded } of report.patterns) {
      expect(boundary.length).toBe(1);
      expect(encoded).toBe('as exported');
      const first = sections.findIndex(({ parameters }) => parameters.some(({ name }) => name === moved[0]?.name));
      const whole = sections.slice(first).flatMap(({ parameters }) => parameters.filter(({ moment }) => !moment));
      expect(moved.map(({ name }) => name)).toEqual(whole.map(({ name }) => name));
    }
  });

  it.each<[string, Build, string, string]>([
    [
      'more than there are',
      residual,
      'blocks:5',
      '"blocks:5": the network has 4 blocks below the head; expected blocks:1 to blocks:4',
    ],
    [
      'none',
      residual,
      'blocks:0',
      '"blocks:0": the network has 4 blocks below the head; expected blocks:1 to blocks:4',
    ],
    [
      'those of a network without any',
      convolutions('a', 'b', 'c'),
      'blocks:2',
      '"blocks:2": the network has no blocks that repeat; choose last:1 to last:3 or all',
    ],
  ])('refuses %s', async (_, build, selection, message) => {
    await expect(moving(networkOf(build), selection)).rejects.toThrow(message);
  });
});

describe('norm', () => {
  it('says of a file whose exporter folded normalization so, and what else may move', async () => {
    const model = networkOf((n, x) => basic(n, basic(n, n.convolution(x, 'stem', 4), 'a'), 'b'), true);
    await expect(compileBytes(model, { patterns: { p: ['norm'] } })).rejects.toThrow(
      '"norm" matches no parameter: the file has no normalization: what the network had, the exporter folded into the 5 convolutions before it, ' +
        'whose weights and biases hold its scales and shifts; choose bias, last:1 to last:5, blocks:1 to blocks:2 or all',
    );
  });
});

describe.skipIf(!LITE0)(`EfficientNet-Lite0${lacking({ WHET_LITE0: LITE0 })}`, () => {
  it('has the 16 blocks of its paper, and a layer above them', async () => {
    const { sections } = await readModel(await readFile(LITE0 ?? ''), {});
    expect(sections.map(({ block }) => block)).toEqual([
      undefined,
      ...Array.from({ length: 16 }, (_, i) => 16 - i),
      undefined,
    ]);
  });
});
