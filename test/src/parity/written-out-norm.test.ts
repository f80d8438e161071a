import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeOnnx, GraphBuilder, int64s, makeTensor, type Value } from '@whet/compiler';
import { compileModel, generatorFor } from '@whet/trainer';
import { afterAll, beforeAll, expect, it } from 'vitest';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-written-out-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const random = generatorFor(23, 'written out', 0);
const WIDTH = 6;

/** A layer, what is done to its rows, and a classifier, in the operators of before operator set 17. */
function network(build: (g: GraphBuilder, rows: Value, constant: (name: string) => Value) => Value): Uint8Array {
  const g = new GraphBuilder();
  const constant = (name: string, ...shape: number[]) => {
    const length = shape.reduce((a, b) => a * b, 1);
    return g.constant(
      makeTensor(
        shape,
        Float32Array.from({ length }, () => 0.5 + random.uniform()),
      ),
      name,
    );
  };
  const x = g.input('x', ['N', 1, 4, 4]);
  const flat = g.apply('Flatten', [x], { axis: 1 }, 'flat');
  const rows = g.apply('Gemm', [flat, constant('fc1.weight', 16, WIDTH), constant('fc1.bias', WIDTH)], {}, 'fc1');
  const features = build(g, rows, (name) => constant(name, WIDTH));
  const logits = g.apply('Gemm', [features, constant('fc2.weight', WIDTH, 3)], {}, 'logits');
  return encodeOnnx({ name: 'net', inputs: [x], outputs: new Map([['logits', logits]]) });
}

const op = (g: GraphBuilder, name: 'Add' | 'Sub' | 'Mul' | 'Div', a: Value, b: Value, as: string) =>
  g.apply(name, [a, b], {}, as);
const mean = (g: GraphBuilder, x: Value, as: string) =>
  g.apply('ReduceMean', [x, g.constant(int64s([-1]))], { keepdims: 1 }, as);

const selected = async (model: Uint8Array, selection: string) => {
  const directory = await mkdtemp(join(folder, 'b-'));
  const patterns = { p: [selection] };
  const { patterns: reports } = await compileModel({ model, fileName: 'net.onnx', directory, name: 'net', patterns });
  return reports[0]?.moving.map(({ name }) => name);
};

it('takes the scale and shift of a layer normalization that is written out for a normalization’s', async () => {
  const model = network((g, rows, constant) => {
    const centred = op(g, 'Sub', rows, mean(g, rows, 'mean'), 'centred');
    const variance = mean(g, op(g, 'Mul', centred, centred, 'squares'), 'variance');
    const deviation = g.apply('Sqrt', [op(g, 'Add', variance, g.scalar(1e-5), 'stable')], {}, 'deviation');
    const scaled = op(g, 'Mul', op(g, 'Div', centred, deviation, 'normal'), constant('ln.weight'), 'scaled');
    return op(g, 'Add', scaled, constant('ln.bias'), 'shifted');
  });
  expect(await selected(model, 'norm')).toEqual(['ln.weight', 'ln.bias']);
  expect(await selected(model, 'bias')).toEqual(['fc1.bias', 'ln.bias']);
});

it('takes no other factor for one', async () => {
  const model = network((g, rows, constant) => {
    const root = g.apply('Sqrt', [op(g, 'Mul', rows, rows, 'squares')], {}, 'root');
    const scaled = op(g, 'Mul', op(g, 'Div', rows, root, 'sign'), constant('gamma'), 'scaled');
    return op(g, 'Add', scaled, constant('beta'), 'shifted');
  });
  await expect(selected(model, 'norm')).rejects.toThrow('"norm" matches no parameter');
  expect(await selected(model, 'bias')).toEqual(['fc1.bias', 'beta']);
});
