import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  decodeModel,
  encodeOnnx,
  evaluate,
  type Graph,
  GraphBuilder,
  makeTensor,
  type OperatorAttributes,
  onnxMessage,
  sizeOf,
  slice,
  type Value,
} from '@whet/compiler';
import { Bundle, type BundleSource } from '@whet/runtime';
import { blockConvolutions } from '@whet/runtime/format';
import { createSession, tuneModel } from '@whet/runtime/node';
import { randomImages, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { examplesOf } from '../parity/task-graph-route.js';

const plain = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 } as const;
const whole = { ...plain, output_padding: [0, 0] } as const;

/** `y` of images, kernels, which are computed of `w`, and what else a graph reads. */
function graphOf(
  build: (g: GraphBuilder, x: Value, w: Value, bias: Value) => Value,
  {
    channels = 64,
    out = 32,
    size = [3, 3],
    width = 6,
  }: { channels?: number; out?: number; size?: [number, number]; width?: number } = {},
): Graph {
  const g = new GraphBuilder();
  const x = g.input('x', ['N', channels, 5, width]);
  const w = g.input('w', [out, channels, ...size]);
  const bias = g.input('bias', [out]);
  return { name: 'g', inputs: [x, w, bias], outputs: new Map([['y', build(g, x, w, bias)]]) };
}

const conv =
  (partial: Partial<OperatorAttributes['Conv']> = {}) =>
  (g: GraphBuilder, x: Value, w: Value): Value =>
    g.apply('Conv', [x, w], { ...plain, ...partial });
/** Of as many channels as go in, so that a convolution's kernels may be a transposed one's. */
const transposed =
  (partial: Partial<OperatorAttributes['ConvTranspose']> = {}) =>
  (g: GraphBuilder, x: Value, w: Value): Value =>
    g.apply('ConvTranspose', [x, w], { ...whole, ...partial });

/** A model that declares no values within. */
function withoutValueInfo(model: Uint8Array): Uint8Array {
  const message = onnxMessage('ModelProto');
  const fields = message.toObject(message.decode(model)) as { graph: { valueInfo?: unknown } };
  delete fields.graph.valueInfo;
  return message.encode(message.fromObject(fields)).finish();
}

/** As rounding leaves them, by the largest. */
function expectClose(name: string, values: Float32Array, expected: Float32Array): void {
  const largest = expected.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  const worst = expected.reduce((most, each, i) => Math.max(most, Math.abs(each - (values[i] as number))), 0);
  expect(worst, name).toBeLessThanOrEqual(1e-4 * largest);
}

const operatorsOf = (model: Uint8Array): string[] => decodeModel(model).nodes.map(({ op }) => op);
const isBlocked = (graph: Graph, size: number): boolean =>
  operatorsOf(blockConvolutions(encodeOnnx(graph), size)).includes('ReorderInput');

const square = { channels: 64, out: 64 };
const graphs: Record<string, Graph> = {
  'kernels that are given': graphOf(conv()),
  'kernels that are computed': graphOf((g, x, w) => conv()(g, x, g.apply('Mul', [w, g.scalar(0.5)], {}))),
  'a bias': graphOf((g, x, w, bias) => g.apply('Conv', [x, w, bias], plain)),
  'uneven kernels and pads': graphOf(conv({ kernel_shape: [2, 3], pads: [0, 2, 1, 1] }), { size: [2, 3] }),
  'strides and dilations': graphOf(conv({ strides: [2, 1], dilations: [1, 2] })),
  'transposed ones': graphOf(transposed(), { channels: 32, out: 32 }),
  'transposed ones of uneven kernels and pads': graphOf(transposed({ kernel_shape: [2, 3], pads: [0, 2, 1, 1] }), {
    ...square,
    size: [2, 3],
  }),
  'kernels that both read, and twice': graphOf((g, x, w) => {
    const first = conv()(g, x, w);
    const second = conv()(g, g.apply('Relu', [first], {}), w);
    return g.apply('Add', [transposed()(g, second, w), first], {});
  }, square),
};

/** Whether this processor has blocks; without, models stay as they are. */
const given = encodeOnnx(graphs['kernels that are given'] as Graph);
const hasBlocks = (await tuneModel(given)) !== given;

describe('convolutions of channels in blocks', () => {
  it.skipIf(!hasBlocks).each(Object.keys(graphs))('give what they give without, of %s', async (name) => {
    const graph = graphs[name] as Graph;
    const model = encodeOnnx(graph);
    const tuned = await tuneModel(model);
    expect(operatorsOf(tuned)).toContain('ReorderInput');
    const feeds = new Map(
      graph.inputs.map(({ name: input, shape }, at) => {
        const known = shape.map((dim) => (typeof dim === 'number' ? dim : 3));
        return [
          input,
          makeTensor(
            known,
            Float64Array.from({ length: sizeOf(known) }, (_, i) => Math.sin(1.7 * i + at)),
          ),
        ] as const;
      }),
    );
    const expected = evaluate(graph, feeds).get('y');
    const session = await createSession(tuned, { threads: 2 });
    const tensors = [...feeds].map(([input, { data, shape }]) => [
      input,
      new Tensor('float32', Float32Array.from(data as Float64Array), shape),
    ]);
    const { y } = await session.run(Object.fromEntries(tensors));
    await session.release();
    expect(y?.dims).toEqual(expected?.shape);
    const largest = Math.max(...Array.from(expected?.data ?? [], (each) => Math.abs(Number(each))));
    const worst = Math.max(
      ...Array.from(expected?.data ?? [], (each, i) => Math.abs(Number(each) - Number(y?.data[i]))),
    );
    expect(worst / largest).toBeLessThan(1e-5);
  });

  it.each<[string, Graph]>([
    ['channels that are no whole blocks, going in', graphOf(conv(), { channels: 24 })],
    ['or coming out', graphOf(conv(), { out: 24 })],
    ['groups', graphOf((g, x, w) => conv({ group: 2 })(g, x, slice(g, w, [1], [0], [32])), square)],
    ['kernels of one entry', graphOf(conv({ kernel_shape: [1, 1], pads: [0, 0, 0, 0] }), { size: [1, 1] })],
    ['kernels of very many values', graphOf(conv(), { channels: 512, out: 512 })],
    [
      'kernels that are constant',
      graphOf((g, x) => conv()(g, x, g.constant(makeTensor([32, 64, 3, 3], new Float32Array(32 * 64 * 9))))),
    ],
    [
      'kernels that are made of constants',
      graphOf((g, x) => {
        const constant = g.constant(makeTensor([32, 64, 3, 3], new Float32Array(32 * 64 * 9)));
        return conv()(g, x, g.apply('Mul', [constant, g.scalar(2)], {}));
      }),
    ],
    ['transposed ones with strides', graphOf(transposed({ strides: [2, 2] }), square)],
    ['or that make room', graphOf(transposed({ strides: [2, 2], output_padding: [1, 1] }), square)],
    ['pads beyond the kernel', graphOf(transposed({ pads: [3, 1, 1, 1] }), square)],
  ])('are not made of %s', (_, graph) => {
    const model = encodeOnnx(graph);
    expect(blockConvolutions(model, 16)).toBe(model);
  });

  it.skipIf(!hasBlocks)('lead where single ones without blocks do, within a loop of steps', async () => {
    const model = { architecture: 'conv4', channels: 32, blocks: 2, imageSize: 12 } as const;
    const directory = await writeTinyBundle(tinyCheckpoint('prototype', { model }));
    const tunedOnes: boolean[] = [];
    const open = (tune?: BundleSource['tune']) =>
      Bundle.open({
        location: directory,
        loops: tune !== undefined,
        read: (path) => readFile(join(directory, path)),
        createSession: (bytes, weights) => createSession(bytes, { threads: 1 }, weights),
        ...(tune ? { tune } : {}),
      });
    const tune = async (bytes: Uint8Array) => {
      const tuned = await tuneModel(bytes);
      tunedOnes.push(tuned !== bytes);
      return tuned;
    };
    const [tuned, single] = [await open(tune), await open()];
    const examples = examplesOf(randomImages('blocked', 6), ['a', 'b', 'a', 'b', 'a', 'b']);
    const options = { pattern: 'full', steps: 5, always: true };
    const [one, other] = [await tuned.adapt(examples, options), await single.adapt(examples, options)];
    await Promise.all([tuned.release(), single.release()]);
    expect(tunedOnes).toContain(true);
    expect(one.losses.length).toBe(5);
    for (const [i, loss] of other.losses.entries()) expect(one.losses[i]).toBeCloseTo(loss, 5);
    for (const [name, { data }] of other.profile.values) {
      expectClose(name, one.profile.values.get(name)?.data as Float32Array, data);
    }
  });

  it.runIf(process.arch === 'x64')('are there on x64', () => {
    expect(hasBlocks).toBe(true);
  });

  it.skipIf(!hasBlocks).each(['full', 'sparse'])(
    'are found in files of earlier versions, which declare no shapes within, and give the same: %s',
    async (pattern) => {
      const folder = new URL('../../../models/bundles/omniglot-conv4/', import.meta.url);
      const file = async (name: string) => new Uint8Array(await readFile(new URL(name, folder)));
      const weights = new Map([['weights.safetensors', await file('weights.safetensors')]]);
      const model = withoutValueInfo(await file(`${pattern}.step.onnx`));
      const tuned = await tuneModel(model);
      // Three of four forward, as the images have one channel, and their three input gradients.
      expect(operatorsOf(tuned).filter((op) => op === 'ReorderOutput').length).toBe(6);
      const feeds = Object.fromEntries(
        decodeModel(model).inputs.map(({ name, shape = [] }, at) => {
          const dims = shape.map((dim) => (typeof dim === 'number' ? dim : dim === 'N' ? 6 : 3));
          const valueAt = (i: number) =>
            name === 'labels' ? Number(i % 3 === Math.floor(i / 3) % 3) : 0.1 * Math.sin(1.7 * i + at);
          return [
            name,
            new Tensor(
              'float32',
              Float32Array.from({ length: sizeOf(dims) }, (_, i) => valueAt(i)),
              dims,
            ),
          ];
        }),
      );
      const run = async (bytes: Uint8Array) => {
        const session = await createSession(bytes, { threads: 1 }, weights);
        const outputs = await session.run(feeds);
        await session.release();
        return outputs;
      };
      const [found, expected] = [await run(tuned), await run(model)];
      expect(Object.keys(expected)).toContain('loss');
      for (const [name, { data }] of Object.entries(expected)) {
        expectClose(name, found[name]?.data as Float32Array, data as Float32Array);
      }
    },
  );

  it('are not made where onnxruntime does not take them: a graph runs as it stands', async () => {
    const directory = await writeTinyBundle();
    let asked = 0;
    const bundle = await Bundle.open({
      location: directory,
      read: (path) => readFile(join(directory, path)),
      createSession: (bytes, weights) => createSession(bytes, { threads: 1 }, weights),
      tune: async () => {
        asked++;
        return Uint8Array.of(1, 2, 3);
      },
    });
    const examples = examplesOf(randomImages('untuned', 4), ['a', 'b', 'a', 'b']);
    const { losses } = await bundle.adapt(examples, { pattern: 'full', steps: 2, always: true });
    await bundle.release();
    expect(asked).toBeGreaterThan(0);
    expect(losses.length).toBe(2);
  });

  it.skipIf(!hasBlocks)('keep the names of nodes', async () => {
    const graph = graphOf((g, x, w) => g.apply('Relu', [g.apply('Conv', [x, w], plain, 'made')], {}));
    const namesOf = (bytes: Uint8Array) => decodeModel(bytes).nodes.map(({ name }) => name);
    const model = encodeOnnx(graph);
    expect(namesOf(await tuneModel(model))).toEqual(expect.arrayContaining(namesOf(model)));
  });

  it('take blocks of other sizes', () => {
    expect(isBlocked(graphOf(conv(), { channels: 24 }), 8)).toBe(true);
    expect(isBlocked(graphOf(conv(), { channels: 24 }), 16)).toBe(false);
  });
});
