import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type CompileOptions, compileModel, generatorFor } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { float32s, int64Proto } from '../../../compiler/src/onnx/models.test.helper.js';
import { weights } from './compile-helpers.js';
import { convolutionsAround, fused, largest, largestCount, opaque } from './opaque-models.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-opaque-refusals-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function compile(model: Uint8Array, overrides: Partial<CompileOptions> = {}) {
  const directory = overrides.directory ?? join(await mkdtemp(join(folder, 'b-')), 'out');
  const options = { model, fileName: 'm.onnx', name: 'm', patterns: { head: ['none'] }, ...overrides, directory };
  return { directory, report: await compileModel(options) };
}

describe('bad input in a part that is not read', () => {
  const elsewhere = {
    dims: [2 ** 29],
    dataType: 1,
    dataLocation: 1,
    externalData: [{ key: 'location', value: '../w' }],
  };
  it.each<[string, () => Uint8Array, RegExp]>([
    ['a file cut short', () => opaque().subarray(0, 200), /not an ONNX model/],
    [
      'a cycle',
      () => convolutionsAround([{ ...fused, inputs: ['b'] }, largest], { initializers: largestCount }),
      /the graph has a cycle: .*Gelu "gelu"/,
    ],
    ['a missing initializer', () => convolutionsAround([fused, largest]), /"count", read by TopK "largest"/],
    [
      '2 GB in a small file',
      () => opaque({ initializers: { 'first.weight': { dims: [2 ** 29], dataType: 1 } } }),
      /"first.weight": float\[536870912\] takes 536870912 values, got 0/,
    ],
    [
      'external data outside the folder',
      () => opaque({ initializers: { 'first.weight': elsewhere } }),
      /"first.weight": external data in "..\/w" is outside the model's folder/,
    ],
    [
      'shapes that do not fit',
      () => opaque({ initializers: { 'first.weight': weights(3, 1, 3, 3) } }),
      /[a-z] does not run: .*Conv node.*kernel channels: 4/,
    ],
    [
      'an operator nobody has',
      () => convolutionsAround([{ ...fused, op: 'Nope', outputs: ['b'] }]),
      /does not load .*Nope/s,
    ],
    [
      'a part for one image only',
      () =>
        convolutionsAround(
          [
            fused,
            { op: 'TopK', inputs: ['h', 'count'], outputs: ['i', 'places'] },
            { op: 'Reshape', inputs: ['i', 'single'], outputs: ['j'] },
            { op: 'Concat', inputs: ['j', 'j'], outputs: ['k'], attributes: { axis: 0 } },
            { op: 'ReduceMax', inputs: ['k'], outputs: ['b'], attributes: { axes: [0] } },
          ],
          { opset: 13, initializers: { ...largestCount, single: int64Proto(1, 4, 8, 8) } },
        ),
      /takes one image at a time only, as Reshape "j", .* may hold; export the model with a batch axis that is not fixed/,
    ],
    [
      'a batch that goes where it is one image',
      () =>
        convolutionsAround([
          fused,
          { op: 'Squeeze', inputs: ['h'], outputs: ['i'] },
          { op: 'Relu', inputs: ['i'], outputs: ['b'] },
        ]),
      /takes one image at a time only.*: "i": expected float32 \[1, 4, 8, 8\] for one image, got \[4, 8, 8\]/,
    ],
    [
      'another size than a value is declared with',
      () => convolutionsAround([fused, largest], { initializers: largestCount, valueInfo: { b: ['N', 4, 8, 9] } }),
      /"b" is declared as \[N, 4, 8, 9\], onnxruntime makes \[N, 4, 8, 8\]/,
    ],
    [
      'a last layer that does not fit',
      () => convolutionsAround([fused, largest], { initializers: { ...largestCount, 'fc.weight': weights(6, 3) } }),
      /last layer \(to "y"\): .*6/,
    ],
    [
      'a last layer that does not fit where all else is read',
      () =>
        convolutionsAround([{ op: 'Relu', inputs: ['a'], outputs: ['b'] }], {
          initializers: { 'fc.weight': weights(6, 3) },
        }),
      /last layer \(to "y"\): .*6/,
    ],
    [
      'an operator of a domain nobody has, naming its node',
      () => convolutionsAround([{ ...fused, domain: 'com.acme', outputs: ['b'] }], { domains: ['com.acme'] }),
      /does not load .*Gelu.*unsupported operator Gelu \(com\.acme\): "gelu"/s,
    ],
    [
      'images of 120 GB',
      () =>
        convolutionsAround([{ op: 'Relu', inputs: ['a'], outputs: ['b'] }], {
          inputs: { x: ['N', 1, 2 ** 18, 2 ** 17] },
        }),
      /input "x" .*expected at most 1073741824 numbers an image, got \[N, 1, 262144, 131072\]/,
    ],
    [
      '16 GB that a few bytes ask for',
      () =>
        convolutionsAround(
          [
            { op: 'Expand', name: 'bomb', inputs: ['one', 'far'], outputs: ['wide'] },
            { op: 'ReduceSum', inputs: ['wide'], outputs: ['sum'], attributes: { keepdims: 0 } },
            { op: 'Add', inputs: ['a', 'sum'], outputs: ['b'] },
          ],
          { initializers: { one: float32s([1], [1]), far: int64Proto(2 ** 20, 2 ** 12) } },
        ),
      /Expand "wide": expected at most 1073741824 numbers an image, got \[1048576, 4096\]/,
    ],
  ])('refuses %s and leaves nothing behind', async (_, model, message) => {
    const directory = join(await mkdtemp(join(folder, 'bad-')), 'out');
    await expect(compile(model(), { directory })).rejects.toThrow(message);
    expect(await readdir(dirname(directory))).toEqual([]);
  });

  it('refuses features that it has not, naming the nearest', async () => {
    await expect(compile(opaque(), { features: 'e1' })).rejects.toThrow(
      'the model has no tensor "e1" of images; nearest: e',
    );
  });

  it('throws nothing but its own errors for damaged models, and leaves nothing behind', async () => {
    const original = opaque();
    const damage = generatorFor(17, 'damage', 0);
    const outcomes = new Map<string, number>();
    for (let round = 0; round < 60; round++) {
      const bytes = Uint8Array.from(original);
      const at = Math.floor(damage.uniform() * bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(damage.uniform() * 8));
      const directory = join(await mkdtemp(join(folder, 'damaged-')), 'out');
      const outcome = await compile(bytes, { directory, patterns: { last: ['last:1'] } }).then(
        () => 'compiled',
        (error: Error) => error.name,
      );
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (outcome !== 'compiled') expect(await readdir(dirname(directory))).toEqual([]);
    }
    expect([...outcomes.keys()].sort()).toEqual(['CompileError', 'OnnxError', 'compiled']);
  });
});
