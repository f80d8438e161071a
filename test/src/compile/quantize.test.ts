import { readFileSync } from 'node:fs';
import {
  decodeModel,
  dequantizeOnnx,
  encodeOnnx,
  onnxMessage,
  planQuantization,
  quantizeOnnx,
  readOnnx,
} from '@whet/compiler';
import { generatorFor, seenActivations } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { type Build, mobile, NetworkWriter, ONE_BY_ONE } from './block-networks.js';

const SIDE = 8;
const LENGTH = 4 * SIDE * SIDE;
const COUNT = 12;

async function run(model: Uint8Array, images: Float32Array, shape: readonly number[], output = 'features') {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const outputs = await session.run({ images: new ort.Tensor('float32', images, shape) });
  await session.release();
  return outputs[output]?.data as Float32Array;
}

function distance(actual: Float32Array, expected: Float32Array): number {
  const sum = (square: (value: number, i: number) => number) =>
    expected.reduce((total, value, i) => total + square(value, i), 0);
  return Math.sqrt(sum((value, i) => ((actual[i] as number) - value) ** 2) / sum((value) => value ** 2));
}

/** A network from `images [N, 4, 8, 8]` to features, as a frozen part is before it becomes bytes. */
function frozen(build: Build): Uint8Array {
  const n = new NetworkWriter(true);
  const images = n.g.input('images', ['N', 4, SIDE, SIDE]);
  return encodeOnnx({ name: 'frozen', inputs: [images], outputs: new Map([['features', build(n, images)]]) });
}

const random = generatorFor(5, 'quantize', 0);
const images = Float32Array.from({ length: COUNT * LENGTH }, () => random.normal());
const shape = [COUNT, 4, SIDE, SIDE];
const seenOf = (model: Uint8Array, method: 'min-max' | 'percentile' = 'min-max') =>
  seenActivations(model, planQuantization(model).activations, { data: images, shape: [4, SIDE, SIDE] }, method);

const rangesOf = (model: Uint8Array) =>
  new Map(planQuantization(model).activations.map(({ name }) => [name, { range: [-4, 4] as const }]));

/** A model without the constants of steps. */
function withoutSteps(model: Uint8Array): Uint8Array {
  const message = onnxMessage('ModelProto');
  const decoded = message.decode(model);
  const { graph } = decoded as unknown as { graph: { initializer: { name: string }[] } };
  graph.initializer = graph.initializer.filter(({ name }) => !name.endsWith('/step'));
  return message.encode(decoded).finish();
}

/** Features of a network in float32 and as bytes. */
async function bothOf(model: Uint8Array) {
  const quantized = quantizeOnnx(model, await seenOf(model));
  return { float: await run(model, images, shape), bytes: await run(quantized, images, shape), quantized };
}

describe('a frozen part as bytes', () => {
  it('is closer to float32 than what onnxruntime’s quantizer makes of the same network', async () => {
    const path = new URL('../../reference/quantize.json', import.meta.url);
    const reference: Record<string, string> & { shape: number[] } = JSON.parse(readFileSync(path, 'utf8'));
    const bytes = (text = '') => Uint8Array.from(Buffer.from(text, 'base64'));
    const numbers = (name: string) => new Float32Array(bytes(reference[name]).buffer);
    const model = bytes(reference['model']);
    const [, ...one] = reference.shape as [number, number, number, number];
    const data = numbers('images');
    const plan = planQuantization(model);
    expect(plan.layers.map(({ op }) => op)).toEqual(['Conv', 'Conv', 'Conv', 'Conv', 'Conv']);
    const expected = numbers('features');
    expect(distance(await run(model, data, reference.shape), expected)).toBeLessThan(1e-5);
    const seen = await seenActivations(model, plan.activations, { data, shape: one }, 'min-max');
    const ours = distance(await run(quantizeOnnx(model, seen), data, reference.shape), expected);
    expect(ours).toBeLessThan(distance(numbers('quantized'), expected));
  });

  const builds: Record<string, [Build, string[]]> = {
    'depthwise convolutions, residual sums, gates': [mobile, []],
    'products of matrices': [
      (n, x) => n.linear(n.apply('Relu', n.linear(n.reshape(x, -1, LENGTH), 'a', 16)), 'b', 6),
      [],
    ],
    'a layer norm between products': [
      (n, x) => n.linear(n.normalizeRows(n.linear(n.reshape(x, -1, LENGTH), 'a', 16), 'n'), 'b', 6),
      [],
    ],
    'groups, pools, a transposed axis': [
      (n, x) => {
        const pooled = n.pool(n.apply('Relu', n.convolution(x, 'a', 8, { group: 2 })));
        const rows = n.transpose(n.reshape(n.convolution(pooled, 'b', 8, { side: 1 }), -1, 8, 16), 0, 2, 1);
        return n.meanOfRows(n.linear(rows, 'c', 5));
      },
      [],
    ],
  };

  it.each(Object.entries(builds))('keeps what float32 makes: %s', async (_, [build]) => {
    const model = frozen(build);
    const { layers, left } = planQuantization(model);
    expect(left).toEqual([]);
    const { float, bytes, quantized } = await bothOf(model);
    expect(distance(bytes, float)).toBeLessThan(0.05);
    expect(distance(bytes, float)).toBeGreaterThan(0);
    expect(quantized.length).toBeLessThan(model.length + 2000 * layers.length);
  });

  it.each(Object.entries(builds))(
    'is float32 again, but for what rounding took from its weights: %s',
    async (_, [build]) => {
      const model = frozen(build);
      const again = dequantizeOnnx(quantizeOnnx(model, await seenOf(model)));
      const nodes = decodeModel(again).nodes.map(({ op }) => op);
      expect(nodes).toEqual(decodeModel(model).nodes.map(({ op }) => op));
      const [float, rounded] = [await run(model, images, shape), await run(again, images, shape)];
      expect(distance(rounded, float)).toBeLessThan(0.05);
      // Whoever trains it finds every layer, and none that stays as exported.
      expect(readOnnx(again).outputs.get('features')?.shape).toEqual(readOnnx(model).outputs.get('features')?.shape);
      expect(Buffer.from(dequantizeOnnx(model)).equals(Buffer.from(model))).toBe(true);
      const broken = quantizeOnnx(model, await seenOf(model));
      expect(() => dequantizeOnnx(withoutSteps(broken))).toThrow(
        /^DequantizeLinear "int8\/0": expected "int8\/0\/step" to be constant$/,
      );
    },
  );

  it('leaves layers in float32 that are named, and says which cannot be bytes', async () => {
    const model = frozen((n, x) => {
      const a = n.apply('Relu', n.convolution(x, 'a', 8));
      const weight = n.g.apply('Mul', [n.weight('w', [8, 8, 1, 1]), n.g.apply('ReduceMean', [a], { keepdims: 0 })], {});
      return n.convolution(n.g.apply('Conv', [a, weight], ONE_BY_ONE, 'moved'), 'b', 4, { side: 1 });
    });
    const { layers, left } = planQuantization(model);
    expect(layers).toHaveLength(2);
    expect(left).toEqual([{ name: 'moved', op: 'Conv', reason: 'its weight is not constant' }]);
    const seen = await seenOf(model);
    const float = await run(model, images, shape);
    const all = layers.map(({ name }) => name);
    expect(distance(await run(quantizeOnnx(model, seen, new Set(all)), images, shape), float)).toBe(0);
    const apart = await run(quantizeOnnx(model, seen, new Set(all.slice(0, 1))), images, shape);
    expect(distance(apart, float)).toBeGreaterThan(0);
  });

  it('reaches less of activations whose outermost entries are few', async () => {
    const model = frozen((n, x) => n.convolution(x, 'a', 8));
    const spiked = Float32Array.from({ length: 60 * LENGTH }, () => random.normal());
    spiked[0] = 1000;
    const plan = planQuantization(model).activations;
    const seen = await seenActivations(model, plan, { data: spiked, shape: [4, SIDE, SIDE] }, 'percentile');
    expect(seen.get('images')?.range[1]).toBeLessThan(1000);
    const whole = await seenActivations(model, plan, { data: spiked, shape: [4, SIDE, SIDE] }, 'min-max');
    expect(whole.get('images')?.range[1]).toBe(1000);
  });

  it('finds the range of what is small beside one that is far out', async () => {
    const model = frozen((n, x) => n.convolution(x, 'a', 8));
    const far = Float32Array.from({ length: 60 * LENGTH }, () => random.normal());
    far[0] = 1e6;
    const plan = planQuantization(model).activations;
    const seen = await seenActivations(model, plan, { data: far, shape: [4, SIDE, SIDE] }, 'percentile');
    const [low, high] = seen.get('images')?.range ?? [0, 0];
    expect(low).toBeGreaterThan(-6);
    expect(high).toBeLessThan(6);
  });

  it('leaves sums with constants in float32, which have no kernel over bytes', async () => {
    const model = frozen((n, x) => n.linear(n.apply('Relu', n.linear(n.reshape(x, -1, LENGTH), 'a', 16)), 'b', 6));
    const { layers, activations } = planQuantization(model);
    expect(layers.map(({ op }) => op)).toEqual(['MatMul', 'MatMul']);
    // What each product reads, and nothing else.
    expect(activations).toHaveLength(2);
  });

  it('refuses an activation that was not seen, or is not finite', async () => {
    const model = frozen((n, x) => n.convolution(x, 'a', 8));
    expect(() => quantizeOnnx(model, new Map())).toThrow('"images": expected a finite range, got []');
    const seen = new Map([['images', { range: [0, Number.POSITIVE_INFINITY] as const }]]);
    expect(() => quantizeOnnx(model, seen)).toThrow('"images": expected a finite range, got [0,Infinity]');
    const means = Float64Array.of(Number.NaN);
    const blind = new Map([...rangesOf(model)].map(([name, { range }]) => [name, { range, means }]));
    expect(() => quantizeOnnx(model, blind)).toThrow('"images": expected finite numbers, got others for an image');
    const broken = frozen((n, x) => {
      const layer = n.convolution(x, 'a', 8);
      (layer.producer?.inputs[1]?.constant?.data as Float32Array)[3] = Number.NaN;
      return layer;
    });
    expect(() => quantizeOnnx(broken, rangesOf(broken))).toThrow('Conv "features": expected finite weights');
  });
});
