import { describe, expect, it } from 'vitest';
import { copyInputs, GraphBuilder, inline } from './builder.js';
import { evaluate } from './evaluate.js';
import { type Graph, GraphError, nodesOf, staticShape } from './graph.js';
import { reshape } from './operators/shape-helpers.js';
import { foldConstants } from './passes/fold-constants.js';
import { frozenBoundary } from './passes/frozen-boundary.js';
import { removeUnusedInputs } from './passes/remove-unused-inputs.js';
import { printGraph } from './print.js';
import { makeTensor } from './tensor.js';

const conv = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 } as const;

/** images -> conv1 -> relu -> conv2 -> y, with weights as inputs. */
function twoLayers(): Graph {
  const g = new GraphBuilder();
  const images = g.input('images', ['N', 1, 6, 6]);
  const [w1, w2] = [g.input('w1', [2, 1, 3, 3]), g.input('w2', [3, 2, 3, 3])];
  const hidden = g.apply('Relu', [g.apply('Conv', [images, w1], conv, 'conv1')], {}, 'relu');
  const y = g.apply('Conv', [hidden, w2], conv, 'conv2');
  return { name: 'two', inputs: [images, w1, w2], outputs: new Map([['y', y]]) };
}

const feeds = new Map([
  [
    'images',
    makeTensor(
      [2, 1, 6, 6],
      Float64Array.from({ length: 72 }, (_, i) => Math.sin(i)),
    ),
  ],
  [
    'w1',
    makeTensor(
      [2, 1, 3, 3],
      Float64Array.from({ length: 18 }, (_, i) => Math.cos(i)),
    ),
  ],
  [
    'w2',
    makeTensor(
      [3, 2, 3, 3],
      Float64Array.from({ length: 54 }, (_, i) => Math.sin(3 * i)),
    ),
  ],
]);

describe('building a graph', () => {
  it('keeps symbols through shape inference', () => {
    const g = new GraphBuilder();
    const x = g.input('x', ['N', 2, 6, 6]);
    const w = g.input('w', [4, 2, 3, 3]);
    const y = g.apply('MaxPool', [g.apply('Conv', [x, w], conv)], {
      kernel_shape: [2, 2],
      strides: [2, 2],
      pads: [0, 0, 0, 0],
    });
    expect(y.shape).toEqual(['N', 4, 3, 3]);
    expect(reshape(g, y, ['N', 36]).shape).toEqual(['N', 36]);
    expect(g.apply('Transpose', [reshape(g, y, ['N', 36])], { perm: [1, 0] }).shape).toEqual([36, 'N']);
  });

  it.each<[string, (g: GraphBuilder) => unknown, string]>([
    [
      'a convolution',
      (g) =>
        g.scope('block2', () =>
          g.apply('Conv', [g.input('x', [1, 64, 8, 8]), g.input('w', [8, 32, 3, 3])], conv, 'conv'),
        ),
      'Conv "block2/conv" on [1, 64, 8, 8], [8, 32, 3, 3]: weight has 32 input channels, input has 64',
    ],
    [
      'a sum',
      (g) => g.apply('Add', [g.input('a', [2]), g.input('b', [3])], {}, 'add'),
      'Add "add" on [2], [3]: shapes [2] and [3] do not broadcast',
    ],
    [
      'two symbols',
      (g) => g.apply('Add', [g.input('a', ['N']), g.input('b', ['W'])], {}, 'add'),
      'Add "add" on [N], [W]: shapes [N] and [W] do not broadcast',
    ],
    [
      'a product',
      (g) => g.apply('MatMul', [g.input('a', [2, 3]), g.input('b', [2, 3])], {}, 'm'),
      'MatMul "m" on [2, 3], [2, 3]: left operand has 3 columns, right operand has 2 rows',
    ],
    ['a missing input', (g) => g.apply('Relu', [undefined], {}, 'r'), 'Relu "r" on -: input 0 is missing'],
  ])('refuses %s that does not fit, naming the node', (_, build, message) => {
    expect(() => build(new GraphBuilder())).toThrow(new GraphError(message));
  });

  it('holds only what its outputs reach', () => {
    const g = new GraphBuilder();
    const x = g.input('x', [2]);
    const y = g.apply('Neg', [x], {});
    g.apply('Exp', [x], {});
    expect(nodesOf([y]).map((node) => node.op)).toEqual(['Neg']);
  });

  it('prints one node a line, with types', () => {
    expect(printGraph(twoLayers()).split('\n')).toEqual([
      'graph "two" (images: float32[N, 1, 6, 6], w1: float32[2, 1, 3, 3], w2: float32[3, 2, 3, 3])',
      expect.stringMatching(/^ {2}conv1: float32\[N, 2, 6, 6\] = Conv\(images, w1, kernel_shape=\[3,3\]/),
      '  relu: float32[N, 2, 6, 6] = Relu(conv1)',
      expect.stringMatching(/^ {2}conv2: float32\[N, 3, 6, 6\] = Conv\(relu, w2/),
      '  return y = conv2',
    ]);
  });

  it('checks every node again when it is copied against another shape', () => {
    const graph = twoLayers();
    const g = new GraphBuilder();
    const bindings = copyInputs(g, graph);
    bindings.set(graph.inputs[1] as never, g.input('w1', [2, 5, 3, 3]));
    expect(() => inline(g, graph, bindings)).toThrow('Conv "conv1"');
  });
});

describe('a value that is not what it has to be', () => {
  const g = new GraphBuilder();
  const x = g.input('x', ['N', 'M']);
  const graph: Graph = { name: 'g', inputs: [], outputs: new Map([['y', g.apply('Neg', [x], {})]]) };

  it('is named, with what it is', () => {
    expect(() => inline(new GraphBuilder(), graph, new Map())).toThrow('"g": input "x" is not bound');
    expect(() => evaluate(graph, new Map())).toThrow(
      '"g": expected an input, a constant or the output of a node, got "x"',
    );
    expect(() => staticShape(x)).toThrow('"x": expected a static shape, got [N, M]');
    expect(() => makeTensor([2, 2], [1])).toThrow('tensor of shape [2, 2] takes 4 values, got 1');
    expect(() => reshape(g, x, ['M', 'N'])).toThrow('cannot reshape [N, M] to [M, N]: two symbols move');
  });
});

describe('the boundary of the frozen part', () => {
  it.each([
    [['w2'], ['Conv', 'Relu'], ['Conv']],
    [['w1'], [], ['Conv', 'Relu', 'Conv']],
    [[], ['Conv', 'Relu', 'Conv'], []],
  ])('with %j moving', (moving, frozenOps, restOps) => {
    const graph = twoLayers();
    const boundary = frozenBoundary(graph, new Set(moving));
    expect(nodesOf(boundary).map((node) => node.op)).toEqual(frozenOps);
    expect(nodesOf(graph.outputs.values(), boundary).map((node) => node.op)).toEqual(restOps);
    const frozen = removeUnusedInputs({
      ...graph,
      outputs: new Map(boundary.map((value) => [value.name, value])),
    }).graph;
    // What moves is never read by the frozen part.
    for (const input of frozen.inputs) expect(moving).not.toContain(input.name);
    const g = new GraphBuilder();
    const bindings = copyInputs(g, graph);
    for (const value of boundary) bindings.set(value, g.input(value.name, value.shape));
    const rest = { name: 'rest', inputs: [...bindings.values()], outputs: inline(g, graph, bindings) };
    const result = evaluate(rest, new Map([...feeds, ...evaluate(frozen, feeds)]));
    expect(result.get('y')).toEqual(evaluate(graph, feeds).get('y'));
  });

  it('is crossed by no constants or inputs', () => {
    const g = new GraphBuilder();
    const [x, w] = [g.input('x', [2]), g.input('w', [2])];
    const y = g.apply('Add', [g.apply('Mul', [x, w], {}), g.scalar(3)], {});
    expect(frozenBoundary({ name: 'g', inputs: [x, w], outputs: new Map([['y', y]]) }, new Set(['w']))).toEqual([]);
  });
});

describe('folding constants', () => {
  it('computes what depends on no input, and nothing else', () => {
    const g = new GraphBuilder();
    const x = g.input('x', ['N']);
    const scale = g.apply('Sqrt', [g.apply('Add', [g.scalar(8), g.scalar(1)], {})], {}, 'scale');
    const y = g.apply('Mul', [x, scale], {}, 'y');
    const { graph, changed } = foldConstants({ name: 'g', inputs: [x], outputs: new Map([['y', y]]) });
    expect(changed).toBe(true);
    expect(nodesOf(graph.outputs.values()).map((node) => node.op)).toEqual(['Mul']);
    expect(evaluate(graph, new Map([['x', makeTensor([2], [1, 2])]])).get('y')?.data).toEqual(Float64Array.of(3, 6));
    expect(foldConstants(graph).changed).toBe(false);
    expect(graph.inputs.map(({ name, shape }) => [name, shape])).toEqual([['x', ['N']]]);
  });
});

describe('removing unused inputs', () => {
  it('keeps inputs that are outputs, and those that are read', () => {
    const g = new GraphBuilder();
    const [a, b, c] = [g.input('a', []), g.input('b', []), g.input('c', [])];
    const outputs = new Map([
      ['y', g.apply('Neg', [a], {})],
      ['z', b],
    ]);
    const { graph, changed } = removeUnusedInputs({ name: 'g', inputs: [a, b, c], outputs });
    expect([changed, graph.inputs.map(({ name }) => name)]).toEqual([true, ['a', 'b']]);
    expect(removeUnusedInputs(graph).changed).toBe(false);
  });
});

describe('evaluating', () => {
  it('refuses a feed that is missing, of another shape, or against a symbol it met', () => {
    const g = new GraphBuilder();
    const [a, b] = [g.input('a', ['N']), g.input('b', ['N'])];
    const graph = { name: 'g', inputs: [a, b], outputs: new Map([['y', g.apply('Add', [a, b], {})]]) };
    const two = makeTensor([2], [1, 2]);
    expect(() => evaluate(graph, new Map([['a', two]]))).toThrow('"g": input "b" is not fed');
    const three = makeTensor([3], [1, 2, 3]);
    expect(() =>
      evaluate(
        graph,
        new Map([
          ['a', two],
          ['b', three],
        ]),
      ),
    ).toThrow('input "b": expected [N], got [3]');
  });
});
