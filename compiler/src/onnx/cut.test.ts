import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { makeTensor } from '../tensor.js';
import { cutOnnx, exposeOnnx } from './cut.js';
import { encodeModel, float32s, refusal, type TestFunction, type TestNode } from './models.test.helper.js';
import { decodeModel } from './proto.js';
import { readOnnx } from './reading/read.js';
import { attributeTypes, onnxMessage } from './schema.js';
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

const input = { tensor: 'x', name: 'images', shape: ['N', 2] };
const features = { tensors: ['y'], name: 'features', shape: ['N', 2] };

describe('cutting around inner graphs', () => {
  /** A graph without inputs whose only node reads `captured` of the graph around it. */
  const branch = (captured: string, made: string) => {
    const graph = { node: [{ opType: 'Neg', input: [captured], output: [made] }], output: [{ name: made }] };
    const message = onnxMessage('GraphProto');
    return { type: attributeTypes.graph, g: message.encode(message.fromObject({ ...graph, name: made })).finish() };
  };
  const nodes: TestNode[] = [
    { op: 'Relu', outputs: ['a'] },
    { op: 'Abs', outputs: ['unused'] },
    { op: 'ReduceMax', outputs: ['m'], attributes: { keepdims: 0 } },
    { op: 'Greater', inputs: ['m', 'zero'], outputs: ['c'] },
    {
      op: 'If',
      inputs: ['c'],
      attributes: { then_branch: branch('a', 'then'), else_branch: branch('x', 'else') },
    },
  ];
  const bytes = encodeModel({ nodes, inputs: { x: ['N', 2] }, initializers: { zero: float32s([], [0]) } });

  it('keeps what they capture, under the names they know', () => {
    const cut = decodeModel(cutOnnx(bytes, { input, output: features }) as Uint8Array);
    expect(cut.nodes.map(({ op, inputs, outputs }) => [op, ...inputs, ...outputs])).toEqual([
      ['Identity', 'images', 'x'],
      ['Relu', 'x', 'a'],
      ['ReduceMax', 'x', 'm'],
      ['Greater', 'm', 'zero', 'c'],
      ['If', 'c', 'features'],
    ]);
  });

  it.each([
    ['images', 'features', 'x', 'y'],
    ['features', 'images', 'x', 'y'],
    ['a', 'images', 'features', 'y'],
    ['a', 'features', 'x', 'images'],
  ])('renames in them what stands in the way: %s, %s of %s, to %s', (outer, inner, from, to) => {
    const wide = [
      { ...(nodes[0] as TestNode), inputs: [from], outputs: [outer] },
      { op: 'ReduceMax', inputs: [from], outputs: ['m'], attributes: { keepdims: 0 } },
      { op: 'Greater', inputs: ['m', 'zero'], outputs: ['c'] },
      {
        op: 'If',
        inputs: ['c'],
        outputs: [to],
        attributes: { then_branch: branch(outer, inner), else_branch: branch(from, inner) },
      },
    ];
    const file = encodeModel({ nodes: wide, inputs: { [from]: ['N', 2] }, initializers: { zero: float32s([], [0]) } });
    const cut = cutOnnx(file, { input: { ...input, tensor: from }, output: { ...features, tensors: [to] } });
    const { nodes: made, inputs } = decodeModel(cut as Uint8Array);
    const outputs = made.flatMap((node) => node.outputs);
    expect([inputs[0]?.name, outputs.filter((name) => name === 'features').length]).toEqual(['images', 1]);
    expect(new Set([...outputs, 'images']).size).toBe(outputs.length + 1);
    const known = new Set([...outputs, 'images']);
    for (const node of made) for (const name of node.captured) expect(known.has(name)).toBe(true);
  });

  it('refuses graphs in graphs without end', () => {
    let graph = branch('x', 'deepest');
    const message = onnxMessage('GraphProto');
    for (let i = 0; i < 40; i++) {
      const attribute = [{ name: 'body', ...graph }];
      const inner = { node: [{ opType: 'Loop', name: `loop${i}`, output: ['o'], attribute }] };
      graph = { type: attributeTypes.graph, g: message.encode(message.fromObject(inner)).finish() };
    }
    const deep = encodeModel({ nodes: [{ op: 'Loop', attributes: { body: graph } }], inputs: { x: ['N', 2] } });
    expect(refusal(() => cutOnnx(deep, { input, output: features }))).toContain('more than 16 deep');
  });
});

describe('what a part brings with it', () => {
  const nodes: TestNode[] = [
    { op: 'Mul', inputs: ['x', 'w'], outputs: ['y'] },
    { op: 'Own', domain: 'here', inputs: ['y'], outputs: ['z'] },
  ];
  const elsewhere = (location: string) => ({
    dims: [2],
    dataType: 1,
    dataLocation: 1,
    externalData: [
      { key: 'location', value: location },
      { key: 'offset', value: '4' },
    ],
  });
  const modelOf = (w: object, functions: TestFunction[] = []) =>
    encodeModel({ nodes, inputs: { x: ['N', 2] }, initializers: { w }, functions });
  const values = new Uint8Array(Float32Array.of(3, 4).buffer);
  const external = (location: string, offset: number, length: number) => {
    expect([location, offset, length]).toEqual(['w.bin', 4, 8]);
    return values;
  };

  it('takes values in other files inside', () => {
    const cut = cutOnnx(modelOf(elsewhere('w.bin')), { input, output: features, external }) as Uint8Array;
    const [w] = decodeModel(cut).initializers;
    expect(w?.external).toBeUndefined();
    expect([...(w?.rawData ?? [])]).toEqual([...values]);
  });

  it.each<[string, object, string]>([
    ['values outside the folder', elsewhere('../w.bin'), 'tensor "w": external data in "../w.bin" is outside'],
    ['values nobody reads', elsewhere('w.bin'), 'tensor "w": its values are in "w.bin", which was not given'],
    ['2 GB in a small file', { dims: [2 ** 29], dataType: 1 }, 'tensor "w": float[536870912] takes'],
    [
      '2 GB of an element type that is not read, in another file',
      { ...elsewhere('w.bin'), dataType: 22 },
      'external data in "w.bin" of unknown length',
    ],
  ])('refuses %s', (_, w, message) => {
    expect(refusal(() => cutOnnx(modelOf(w), { input, output: features }))).toContain(message);
  });

  it('keeps the functions of the model whole', () => {
    const own = { name: 'Own', domain: 'here', inputs: ['a'], outputs: ['b'], nodes: [{ op: 'Neg', inputs: ['a'] }] };
    const cut = exposeOnnx(modelOf(float32s([2], [1, 2]), [own]), ['z'], { tensor: 'x', shape: [1, 2] });
    const decoded = onnxMessage('ModelProto').decode(cut) as unknown as { functions: object[] };
    expect(decoded.functions[0]).toMatchObject({ name: 'Own', input: ['a'], output: ['b'], node: [{ opType: 'Neg' }] });
  });

  it('takes means of several, one of them as it is too', () => {
    const nodes: TestNode[] = [
      { op: 'Relu', outputs: ['a'] },
      { op: 'Neg', inputs: ['a'], outputs: ['b'] },
    ];
    const cut = cutOnnx(encodeModel({ nodes, inputs: { x: ['N', 2, 3, 4] } }), {
      input: { ...input, shape: ['N', 2, 3, 4] },
      output: { tensors: ['b', 'a', 'a'], name: 'features', shape: ['N', 28], means: [[2, 3], [2, 3], []] },
    }) as Uint8Array;
    expect(
      decodeModel(cut)
        .nodes.map(({ op }) => op)
        .filter((op) => op === 'ReduceMean'),
    ).toHaveLength(2);
    expect(readOnnx(cut).outputs.get('features')?.shape).toEqual(['N', 28]);
  });

  it.each([13, 18])('takes a mean in operator set %i', (opset) => {
    const bytes = encodeModel({ nodes: [{ op: 'Relu' }], inputs: { x: ['N', 2, 3, 4] }, opset });
    const cut = cutOnnx(bytes, {
      input: { ...input, shape: ['N', 2, 3, 4] },
      output: { ...features, means: [[2, 3]] },
    }) as Uint8Array;
    expect(decodeModel(cut).nodes.map(({ op }) => op)).toEqual(['Relu', 'ReduceMean']);
    expect(readOnnx(cut).outputs.get('features')?.shape).toEqual(['N', 2]);
  });
});
