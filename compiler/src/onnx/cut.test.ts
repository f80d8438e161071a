import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../graph.js';
import { makeTensor } from '../tensor.js';
import { cutOnnx } from './cut.js';
import { decodeModel } from './proto.js';
import { readOnnx } from './read.js';
import { encodeOnnx } from './write.js';

/** `x -> a -> images -> c`, and `b` beside `images`: a file that uses the names of a bundle for something else. */
function model(): Uint8Array {
  const g = new GraphBuilder();
  const x = g.input('x', ['batch', 2, 1, 1]);
  const shift = g.constant(makeTensor([2, 1, 1], [1, 2]), 'features');
  const a = g.apply('Add', [x, shift], {}, 'a');
  const inner = g.apply('Relu', [a], {}, 'images');
  const b = g.apply('Mul', [a, g.constant(makeTensor([2, 1, 1], [3, 4]), 'scale')], {}, 'b');
  const c = g.apply('Add', [inner, b], {}, 'c');
  return encodeOnnx({ name: 'm', inputs: [x], outputs: new Map([['c', c]]) });
}

const cut = (tensors: readonly string[], flatten = false) =>
  cutOnnx(model(), {
    input: { tensor: 'x', name: 'images', shape: ['N', 2, 1, 1] },
    output: {
      tensors,
      name: 'features',
      shape: tensors.length > 1 || flatten ? ['N', 2 * tensors.length] : ['N', 2, 1, 1],
      flatten,
    },
  });

describe('cutting a model', () => {
  it('keeps what the tensor needs, and renames what stands in the way', () => {
    const bytes = cut(['images']) as Uint8Array;
    const { nodes, initializers, inputs, outputs } = decodeModel(bytes);
    expect(nodes.map(({ op, inputs: read, outputs: made }) => [op, ...read, ...made])).toEqual([
      ['Add', 'images', 'features_1', 'a'],
      ['Relu', 'a', 'features'],
    ]);
    expect(initializers.map(({ name }) => name)).toEqual(['features_1']);
    expect([inputs, outputs].map((infos) => infos.map(({ name }) => name))).toEqual([['images'], ['features']]);
    expect(readOnnx(bytes).inputs[0]?.shape).toEqual(['N', 2, 1, 1]);
  });

  it('lays several tensors side by side', () => {
    const bytes = cut(['images', 'b']) as Uint8Array;
    expect(decodeModel(bytes).nodes.map(({ op }) => op)).toEqual([
      'Add',
      'Relu',
      'Mul',
      'Flatten',
      'Flatten',
      'Concat',
    ]);
    expect(readOnnx(bytes).outputs.get('features')?.shape).toEqual(['N', 4]);
  });

  it('flattens one where that is asked for', () => {
    expect(readOnnx(cut(['images'], true) as Uint8Array).outputs.get('features')?.shape).toEqual(['N', 2]);
  });

  it.each([['none'], ['x'], ['scale']])('does not cut at %s', (tensor) => {
    expect(cut([tensor])).toBeUndefined();
  });
});
