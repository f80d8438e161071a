import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../builder.js';
import { evaluate } from '../../evaluate.js';
import { nodesOf } from '../../graph.js';
import type { Shape } from '../../tensor.js';
import { int64s, makeTensor } from '../../tensor.js';
import {
  float,
  float32s,
  int64Proto,
  opsOf,
  read,
  refusal,
  relu,
  type TestModel,
  type TestNode,
  tensor,
} from '../models.test.helper.js';
import { encodeOnnx } from '../write.js';
import { readOnnx } from './read.js';

describe('reading a model', () => {
  it('keeps names of values, shapes, symbols and constants', () => {
    const graph = read({
      nodes: [{ op: 'MatMul', name: 'fc', inputs: ['x', 'w'], outputs: ['y'] }],
      inputs: { x: ['batch', 2] },
      initializers: { w: float32s([2, 1], [3, 4]) },
    });
    const [node] = nodesOf(graph.outputs.values());
    expect(graph.inputs.map(({ name, shape, dtype }) => [name, shape, dtype])).toEqual([
      ['x', ['batch', 2], 'float32'],
    ]);
    expect([node?.output.name, node?.output.shape, node?.inputs[1]?.name]).toEqual(['y', ['batch', 1], 'w']);
    expect(evaluate(graph, new Map([['x', makeTensor([1, 2], [1, 2])]])).get('y')?.data).toEqual(Float64Array.of(11));
  });

  it('makes symbols of dimensions without a number, whatever their names', () => {
    const graph = read({ nodes: [relu], inputs: { x: ['', 'a b+1', '2*N', 3, -1] } });
    expect(graph.outputs.get('y')?.shape).toEqual(['x_0', 'a_b_1', '_2_N', 3, 'x_4']);
  });

  it('takes shapes of inputs in place of the declared ones', () => {
    const model: TestModel = { nodes: [relu], inputs: { x: [1, 'C'] } };
    expect(read(model, { x: ['N', 8] }).outputs.get('y')?.shape).toEqual(['N', 8]);
    expect(refusal(() => read(model, { z: [1] }))).toBe('inputShapes names "z"; the model\'s inputs are "x"');
    expect(refusal(() => read(model, { x: [1] }))).toContain('input "x" is declared as [1, C], inputShapes says [1]');
    expect(refusal(() => read({ ...model, inputs: { x: undefined } }))).toContain('input "x" has no declared shape');
  });

  it('takes an initializer that is also an input for a constant', () => {
    const graph = read({
      nodes: [{ op: 'Add', inputs: ['x', 'b'] }],
      inputs: { x: ['N', 2], b: [2] },
      initializers: { b: float32s([2], [1, 2]) },
      irVersion: 3,
    });
    expect(graph.inputs.map(({ name }) => name)).toEqual(['x']);
  });

  it('sorts nodes that stand in another order, and leaves out what no output needs', () => {
    const graph = read({
      nodes: [
        { op: 'Neg', inputs: ['h'], outputs: ['y'] },
        { op: 'SomethingUnknown', outputs: ['unused'] },
        { op: 'Relu', outputs: ['h'] },
      ],
      inputs: { x: [2] },
      outputs: { y: [2] },
    });
    expect(opsOf(graph)).toEqual(['Relu', 'Neg']);
  });

  it('drops Identity and Dropout, also where they are all there is', () => {
    const nodes: TestNode[] = [
      { op: 'Dropout', outputs: ['a', 'mask'], attributes: { seed: 1 } },
      { op: 'Identity', inputs: ['a'], outputs: ['y'] },
    ];
    const graph = read({ nodes, inputs: { x: [2] } });
    expect([opsOf(graph), graph.outputs.get('y')?.name]).toEqual([[], 'x']);
    expect(opsOf(readOnnx(encodeOnnx(graph)))).toEqual([]);
  });

  it('passes an input on that is an output of the same name', () => {
    const graph = read({ nodes: [relu], inputs: { x: [2] }, outputs: { y: [2], x: [2] } });
    expect([...readOnnx(encodeOnnx(graph)).outputs.keys()]).toEqual(['y', 'x']);
  });

  it('reads back what it writes', () => {
    const g = new GraphBuilder();
    const x = g.input('x', ['N', 1, 6, 6]);
    const w = g.constant(
      makeTensor(
        [2, 1, 3, 3],
        Float64Array.from({ length: 18 }, (_, i) => i / 8),
      ),
      'conv.weight',
    );
    const window = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] } as const;
    const h = g.apply(
      'Relu',
      [g.apply('Conv', [x, w], { ...window, dilations: [1, 1], group: 1 }, 'conv')],
      {},
      'relu',
    );
    const y = g.apply('MaxPool', [h], { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] }, 'pool');
    const graph = { name: 'net', inputs: [x], outputs: new Map([['y', y]]) };
    const bytes = encodeOnnx(graph);
    const again = readOnnx(bytes);
    expect(encodeOnnx(readOnnx(encodeOnnx(again)))).toEqual(encodeOnnx(again));
    const conv = nodesOf(again.outputs.values()).find(({ op }) => op === 'Conv');
    expect([conv?.attributes, conv?.inputs[1]?.name]).toEqual([
      { ...window, dilations: [1, 1], group: 1 },
      'conv.weight',
    ]);
    const feeds = new Map([
      [
        'x',
        makeTensor(
          [1, 1, 6, 6],
          Float64Array.from({ length: 36 }, (_, i) => Math.sin(i)),
        ),
      ],
    ]);
    expect(evaluate(again, feeds).get('y')).toEqual(evaluate(graph, feeds).get('y'));
  });
});

describe('arithmetic on shapes', () => {
  const gathered = (index: number, name: string): TestNode[] => [
    { op: 'Constant', inputs: [], outputs: [`i${name}`], attributes: { value: tensor(int64Proto(index)) } },
    { op: 'Shape', outputs: [`s${name}`] },
    { op: 'Gather', inputs: [`s${name}`, `i${name}`], outputs: [name] },
  ];

  it.each<[string, TestNode[], Shape, number[]]>([
    [
      'x.view(x.size(0), -1)',
      [
        ...gathered(0, 'n'),
        { op: 'Constant', inputs: [], outputs: ['rest'], attributes: { value: tensor(int64Proto(-1)) } },
        { op: 'Concat', inputs: ['n', 'rest'], outputs: ['shape'], attributes: { axis: 0 } },
        { op: 'Reshape', inputs: ['x', 'shape'], outputs: ['y'] },
      ],
      ['N', 32],
      [0, 32],
    ],
    [
      'x.view(-1, C * H, W)',
      [
        ...gathered(1, 'c'),
        ...gathered(2, 'h'),
        { op: 'Mul', inputs: ['c', 'h'], outputs: ['ch'] },
        { op: 'Constant', inputs: [], outputs: ['rest'], attributes: { value_ints: [-1] } },
        { op: 'Constant', inputs: [], outputs: ['w'], attributes: { value_ints: [2] } },
        { op: 'Concat', inputs: ['rest', 'ch', 'w'], outputs: ['shape'], attributes: { axis: 0 } },
        { op: 'Reshape', inputs: ['x', 'shape'], outputs: ['y'] },
      ],
      ['N', 16, 2],
      [0, 16, 2],
    ],
    [
      'x.view(x.size(0) * C, -1), through float',
      [
        ...gathered(0, 'n'),
        { op: 'Cast', inputs: ['n'], outputs: ['f'], attributes: { to: 1 } },
        { op: 'Constant', inputs: [], outputs: ['eight'], attributes: { value_float: float(8) } },
        { op: 'Mul', inputs: ['f', 'eight'], outputs: ['8n'] },
        { op: 'Floor', inputs: ['8n'], outputs: ['whole'] },
        { op: 'Cast', inputs: ['whole'], outputs: ['rows'], attributes: { to: 7 } },
        { op: 'Constant', inputs: [], outputs: ['rest'], attributes: { value_ints: [-1] } },
        { op: 'Concat', inputs: ['rows', 'rest'], outputs: ['shape'], attributes: { axis: 0 } },
        { op: 'Reshape', inputs: ['x', 'shape'], outputs: ['y'] },
      ],
      ['8N', 4],
      [-1, 4],
    ],
  ])('%s', (_, nodes, shape, target) => {
    const graph = read({ nodes, inputs: { x: ['N', 8, 2, 2] } });
    expect(opsOf(graph)).toEqual(['Reshape']);
    const [reshape] = nodesOf(graph.outputs.values());
    expect(reshape?.output.shape).toEqual(shape);
    expect(Array.from(reshape?.inputs[1]?.constant?.data ?? [])).toEqual(target);
  });

  it.each<[string, TestNode, number, number, number]>([
    ['Mod', { op: 'Mod', inputs: ['a', 'b'], outputs: ['rows'] }, -7, 3, 2],
    ['Mod with fmod', { op: 'Mod', inputs: ['a', 'b'], outputs: ['rows'], attributes: { fmod: 1 } }, 7, -3, 1],
    ['Pow', { op: 'Pow', inputs: ['a', 'b'], outputs: ['rows'] }, 2, 3, 8],
  ])('works out %s', (_, node, a, b, rows) => {
    const nodes: TestNode[] = [
      node,
      { op: 'Concat', inputs: ['rows', 'rest'], outputs: ['shape'], attributes: { axis: 0 } },
      { op: 'Reshape', inputs: ['x', 'shape'], outputs: ['y'] },
    ];
    const graph = read({
      nodes,
      inputs: { x: [8, 2] },
      initializers: { a: int64Proto(a), b: int64Proto(b), rest: int64Proto(-1) },
    });
    expect(graph.outputs.get('y')?.shape).toEqual([rows, 16 / rows]);
  });

  it('expands to a batch that is only known when the graph runs', () => {
    const nodes: TestNode[] = [
      ...gathered(0, 'n'),
      { op: 'Constant', inputs: [], outputs: ['rest'], attributes: { value_ints: [-1, -1] } },
      { op: 'Concat', inputs: ['n', 'rest'], outputs: ['sizes'], attributes: { axis: 0 } },
      { op: 'ConstantOfShape', inputs: ['three'], outputs: ['ones'], attributes: { value: tensor(int64Proto(1)) } },
      { op: 'Equal', inputs: ['sizes', 'minus'], outputs: ['open'] },
      { op: 'Where', inputs: ['open', 'ones', 'sizes'], outputs: ['shape'] },
      { op: 'Expand', inputs: ['token', 'shape'], outputs: ['y'] },
    ];
    const initializers = { three: int64Proto(3), minus: int64Proto(-1), token: float32s([1, 1, 2], [5, 6]) };
    const graph = read({ nodes, inputs: { x: ['N', 3, 2, 2] }, initializers });
    expect(graph.outputs.get('y')?.shape).toEqual(['N', 1, 2]);
    const y = evaluate(graph, new Map([['x', makeTensor([3, 3, 2, 2], new Float64Array(36))]])).get('y');
    expect([y?.shape, Array.from(y?.data ?? [])]).toEqual([
      [3, 1, 2],
      [5, 6, 5, 6, 5, 6],
    ]);
  });

  it('expands to symbols of two inputs', () => {
    const nodes: TestNode[] = [
      { op: 'Shape', outputs: ['a'], attributes: { start: 0, end: 1 } },
      { op: 'Shape', inputs: ['z'], outputs: ['b'], attributes: { start: -1 } },
      { op: 'Concat', inputs: ['a', 'two', 'b'], outputs: ['shape'], attributes: { axis: 0 } },
      { op: 'ConstantOfShape', inputs: ['shape'], outputs: ['y'], attributes: { value: tensor(float32s([1], [7])) } },
    ];
    const initializers = { two: int64Proto(2) };
    const graph = read({ nodes, inputs: { x: ['N'], z: [2, 'W'] }, initializers, opset: 15 });
    expect(graph.outputs.get('y')?.shape).toEqual(['N', 2, 'W']);
    const feeds = { x: makeTensor([3], [1, 2, 3]), z: makeTensor([2, 2], [1, 2, 3, 4]) };
    const y = evaluate(graph, new Map(Object.entries(feeds))).get('y');
    expect([y?.shape, new Set(y?.data)]).toEqual([[3, 2, 2], new Set([7])]);
  });

  it('refuses a shape that depends on values', () => {
    const nodes: TestNode[] = [
      { op: 'Cast', inputs: ['x'], outputs: ['shape'], attributes: { to: 7 } },
      { op: 'Reshape', name: 'view', inputs: ['x', 'shape'], outputs: ['y'] },
    ];
    expect(refusal(() => read({ nodes, inputs: { x: [2] } }))).toContain(
      'Reshape "view": expected the new shape to be',
    );
  });
});

describe('zeros around an image, laid by a node of their own', () => {
  const kernels = Array.from({ length: 18 }, (_, i) => Math.fround(Math.sin(i)));
  const x = makeTensor(
    [1, 2, 3, 3],
    Array.from({ length: 18 }, (_, i) => Math.cos(i)),
  );

  it.each([
    [[0, 0, 1, 1, 1], 'constant', 0, [0, 0, 0, 0], ['Conv']],
    [[0, 1, 0, 0, 1], 'constant', 0, [0, 1, 0, 1], ['Conv']],
    // More than the window reaches, of another value, of other pixels, or of a channel.
    [[0, 2, 0, 0, 0], 'constant', 0, [0, 0, 0, 0], ['Pad', 'Conv']],
    [[0, 1, 0, 0, 0], 'constant', 0, [1, 0, 0, 0], ['Pad', 'Conv']],
    [[0, 0, 1, 1, 1], 'constant', 0.5, [0, 0, 0, 0], ['Pad', 'Conv']],
    [[0, 0, 1, 1, 1], 'reflect', 0, [0, 0, 0, 0], ['Pad', 'Conv']],
    [[1, 0, 0, 0, 0], 'constant', 0, [0, 0, 0, 0], ['Pad', 'Conv']],
  ] as const)('%j, %s of %d before pads %j: %j', (around, mode, filling, pads, expected) => {
    const [channels, top, left, bottom, right] = around;
    const w = [1, 2 + channels, 2, 3] as const;
    const values = [...kernels.slice(0, 12), ...kernels.slice(0, channels * 6)];
    const graph = read({
      nodes: [
        { op: 'Pad', inputs: ['x', 'pads', 'filling'], outputs: ['padded'], attributes: { mode } },
        { op: 'Conv', inputs: ['padded', 'w'], outputs: ['y'], attributes: { pads: [...pads] } },
      ],
      inputs: { x: [1, 2, 3, 3] },
      initializers: {
        pads: int64Proto(0, channels, top, left, 0, 0, bottom, right),
        filling: float32s([], [filling]),
        w: float32s([...w], values),
      },
    });
    expect(opsOf(graph)).toEqual(expected);
    // A Pad for each, and a convolution that lays none.
    const g = new GraphBuilder();
    const image = g.input('x', [1, 2, 3, 3]);
    const laid = (sides: readonly number[]) => g.constant(int64s(sides));
    const once = g.apply(
      'Pad',
      [image, laid([0, channels, top, left, 0, 0, bottom, right]), g.constant(makeTensor([], [filling]))],
      { mode },
    );
    const [up, west, down, east] = pads;
    const twice = g.apply('Pad', [once, laid([0, 0, up, west, 0, 0, down, east])], { mode: 'constant' });
    const y = g.apply('Conv', [twice, g.constant(makeTensor(w, values))], {
      ...{ kernel_shape: [2, 3], strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0], group: 1 },
    });
    const feeds = new Map([['x', x]]);
    const wanted = evaluate({ name: 'w', inputs: [image], outputs: new Map([['y', y]]) }, feeds).get('y');
    const got = evaluate(graph, feeds).get('y');
    expect(got?.shape).toEqual(wanted?.shape);
    for (const [i, value] of (wanted?.data ?? []).entries()) expect(got?.data[i]).toBeCloseTo(Number(value), 12);
  });
});
