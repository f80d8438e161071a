import { describe, expect, it } from 'vitest';
import {
  branch,
  encodeModel,
  float32s,
  int64Proto,
  type TestModel,
  type TestNode,
} from '../../../compiler/src/onnx/models.test.helper.js';
import { compileBytes, expectAsFile, fixture, weights } from './compile-helpers.js';

/** A convolution to `a`, and a classifier of `b`. */
const network = (between: readonly TestNode[], more: Partial<TestModel> = {}) =>
  encodeModel({
    inputs: { x: ['N', 1, 6, 6] },
    outputs: { y: ['N', 3] },
    ...more,
    nodes: [
      ...between,
      { op: 'Conv', inputs: ['x', 'w1'], outputs: ['a'] },
      { op: 'Conv', inputs: ['b', 'w2'], outputs: ['c'] },
      { op: 'GlobalAveragePool', inputs: ['c'], outputs: ['e'] },
      { op: 'Flatten', inputs: ['e'], outputs: ['f'] },
      { op: 'Gemm', inputs: ['f', 'wf'], outputs: ['y'] },
    ],
    initializers: { w1: weights(4, 1, 3, 3), w2: weights(5, 4, 2, 2), wf: weights(5, 3), ...more.initializers },
  });

const choice: TestNode = {
  op: 'If',
  name: 'choice',
  inputs: ['g'],
  outputs: ['b'],
  attributes: {
    then_branch: branch([{ op: 'Sub', inputs: ['a', 'nothing'], outputs: ['t'] }], ['t']),
    else_branch: branch([{ op: 'Add', inputs: ['a', 'nothing'], outputs: ['t'] }], ['t']),
  },
};

/** A branch that the number of images chooses, though both make the same, which reads `a` although it is no input of it. */
const chosen: readonly TestNode[] = [
  choice,
  { op: 'Shape', inputs: ['x'], outputs: ['s'] },
  { op: 'Gather', inputs: ['s', 'first'], outputs: ['n'] },
  { op: 'Equal', inputs: ['n', 'one'], outputs: ['g'] },
];
const chosenBy = { nothing: float32s([], [0]), one: int64Proto(1), first: int64Proto(0), second: int64Proto(1) };

describe('control flow', () => {
  it('whose condition is a constant is the branch that is taken: all may move', async () => {
    const report = await expectAsFile(await fixture('if-reads-outer-value'), { none: ['none'], all: ['all'] });
    expect(report.patterns[1]?.moving.map(({ name }) => name)).toEqual(['w1', 'b1', 'w2', 'b2']);
  });

  /** What makes `k`, which is not read in part. */
  const unreadBefore: Record<string, readonly TestNode[]> = {
    'a constant': [{ op: 'CumSum', inputs: ['one', 'zero'], outputs: ['k'] }],
    'the size of what an operator made that is not read': [
      { op: 'CumSum', inputs: ['a', 'zero'], outputs: ['u'] },
      { op: 'Shape', inputs: ['u'], outputs: ['s'] },
      { op: 'Gather', inputs: ['s', 'second'], outputs: ['k'] },
    ],
    'the size of what was quantized': [
      { op: 'QuantizeLinear', inputs: ['a', 'scale', 'point'], outputs: ['q'] },
      { op: 'Shape', inputs: ['q'], outputs: ['s'] },
      { op: 'Gather', inputs: ['s', 'second'], outputs: ['k'] },
    ],
  };

  it.each(Object.keys(unreadBefore))(
    'whose condition is one behind an operator that is not read is its branch as well: %s',
    async (name) => {
      const nodes = [
        {
          ...choice,
          attributes: {
            ...choice.attributes,
            else_branch: branch([{ op: 'Identity', inputs: ['a'], outputs: ['t'] }], ['t']),
          },
        },
        ...(unreadBefore[name] as readonly TestNode[]),
        { op: 'Less', inputs: ['k', 'one'], outputs: ['g'] },
      ];
      const zero = { dims: [], dataType: 7, int64Data: [0] };
      const quantized = { scale: float32s([], [0.1]), point: { dims: [], dataType: 3, int32Data: [0] } };
      const file = network(nodes, { initializers: { ...chosenBy, ...quantized, zero } });
      const report = await expectAsFile(file, { none: ['none'], all: ['all'] });
      expect(report.patterns[1]?.moving.map(({ name }) => name)).toEqual(['w1', 'w2']);
    },
  );

  it('is above what it reads of the graph around it, and is named where it stands in the way', async () => {
    const file = network(chosen, { initializers: chosenBy });
    const { patterns } = await expectAsFile(file, { none: ['none'], last: ['last:1'] });
    expect(patterns.map(({ boundary, moving }) => [boundary, moving.map(({ name }) => name)])).toEqual([
      [['f'], []],
      [['b'], ['w2']],
    ]);
    await expect(compileBytes(file, { patterns: { all: ['all'] } })).rejects.toThrow(
      /moves "w1", but these nodes above cannot be differentiated:\n {2}If "choice": holds a graph/,
    );
  });
});

describe('weights that nobody can move', () => {
  it('are listed where a graph inside a node reads them', async () => {
    const taken = branch([{ op: 'Mul', inputs: ['a', 'scales'], outputs: ['t'] }], ['t']);
    const nodes = [{ ...choice, attributes: { ...choice.attributes, then_branch: taken } }, ...chosen.slice(1)];
    const file = network(nodes, { initializers: { ...chosenBy, scales: float32s([4, 1, 1], [1, 1, 1, 1]) } });
    await expect(compileBytes(file, { patterns: { all: ['all'] } })).rejects.toThrow(
      /moves "w1", "scales", but .*If "choice"/s,
    );
  });

  it('are listed where a function of another operator set reads them', async () => {
    const nodes: TestNode[] = [{ op: 'Mul', inputs: ['v', 's'], outputs: ['o'] }];
    const older = { name: 'Old', domain: 'own', inputs: ['v', 's'], outputs: ['o'], nodes, opset: 12 };
    const file = network([{ op: 'Old', domain: 'own', inputs: ['a', 'scales'], outputs: ['b'] }], {
      domains: ['own'],
      functions: [older],
      initializers: { scales: weights(4, 1, 1) },
    });
    await expect(compileBytes(file, { patterns: { all: ['all'] } })).rejects.toThrow(
      /moves "w1", "scales", but .*Old "b": is a function of the model by operator set 12, which uses 13 itself: export it by one/s,
    );
  });
});

describe('functions of the model', () => {
  it('are inlined: weights that they read are listed, and move', async () => {
    const report = await expectAsFile(await fixture('all-skips-function'), { none: ['none'], all: ['all'] });
    expect(report.model.parameters.map(({ name }) => name)).toEqual(['w1', 'b1', 'w2', 'b2']);
    expect(report.patterns[1]?.moving).toHaveLength(4);
  });

  it('are inlined where they hold weights and call each other, beside what is not read', async () => {
    const scaled: TestNode[] = [
      { op: 'Constant', inputs: [], outputs: ['s'], attributes: { value: { type: 4, t: weights(4, 1, 1) } } },
      { op: 'Mul', inputs: ['v', 's'], outputs: ['o'] },
    ];
    const twice: TestNode[] = [
      { op: 'Scaled', domain: 'own', inputs: ['v'], outputs: ['t'] },
      { op: 'Gelu', domain: 'com.microsoft', inputs: ['t'], outputs: ['u'] },
      { op: 'Scaled', domain: 'own', inputs: ['u'], outputs: ['o'] },
    ];
    const domains = ['own', 'com.microsoft'];
    const file = network([{ op: 'Twice', domain: 'own', inputs: ['a'], outputs: ['b'] }], {
      domains,
      functions: [
        { name: 'Scaled', domain: 'own', inputs: ['v'], outputs: ['o'], nodes: scaled, domains },
        { name: 'Twice', domain: 'own', inputs: ['v'], outputs: ['o'], nodes: twice, domains },
      ],
    });
    const report = await expectAsFile(file, { none: ['none'], last: ['b/s', 'w2'] });
    expect(report.patterns[1]?.boundary).toEqual(['b/u']);
    expect(report.model.parameters.map(({ name, blocked }) => [name, blocked])).toEqual([
      ['w1', true],
      ['b/t/s', true],
      ['b/s', false],
      ['w2', false],
    ]);
  });
});
