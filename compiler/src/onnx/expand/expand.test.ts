import { describe, expect, it } from 'vitest';
import { evaluate } from '../../evaluate.js';
import type { Shape } from '../../tensor.js';
import { makeTensor, sizeOf } from '../../tensor.js';
import {
  branch,
  encodeModel,
  float,
  float32s,
  int64Proto,
  opsOf,
  refusal,
  type TestFunction,
  type TestModel,
  type TestNode,
} from '../models.test.helper.js';
import { decodeModel } from '../proto.js';
import { readOnnx } from '../reading/read.js';
import { attributeTypes } from '../schema.js';
import { expandOnnx } from './expand.js';

const expanded = (model: TestModel) => expandOnnx(encodeModel(model));
const graphOf = (model: TestModel) => readOnnx(expanded(model));

/** The output of a model for the numbers 1, 2, ... */
function outputOf(model: TestModel, shape: readonly number[] = [2]): number[] {
  const data = Float64Array.from({ length: sizeOf(shape) }, (_, i) => i + 1);
  const found = evaluate(graphOf(model), new Map([['x', makeTensor(shape, data)]]));
  return Array.from(found.get('y')?.data ?? []);
}

const call = (op: string, inputs: readonly string[], outputs: readonly string[], more: Partial<TestNode> = {}) =>
  ({ op, domain: 'own', inputs, outputs, ...more }) satisfies TestNode;
const own = (
  name: string,
  inputs: string[],
  outputs: string[],
  nodes: TestNode[],
  more: Partial<TestFunction> = {},
) => ({
  name,
  domain: 'own',
  inputs,
  outputs,
  nodes,
  ...more,
});
const model = (nodes: TestNode[], more: Partial<TestModel> = {}): TestModel => ({
  nodes,
  inputs: { x: [2] },
  outputs: { y: undefined },
  domains: ['own'],
  ...more,
});
const reference = (name: string, refAttrName: string, type: number) => ({ [name]: { type, refAttrName } });

describe('functions of a model', () => {
  const scale = own(
    'Scale',
    ['a', 'w'],
    ['b'],
    [
      { op: 'Mul', inputs: ['a', 'w'], outputs: ['t'] },
      { op: 'LeakyRelu', inputs: ['t'], outputs: ['b'], attributes: reference('alpha', 'slope', attributeTypes.float) },
    ],
    { defaults: { slope: float(0.5) } },
  );

  it('stand where they are called, their values under names of their own', () => {
    const nodes = [
      call('Scale', ['x', 'w'], ['t']),
      call('Scale', ['t', 'w'], ['y'], { attributes: { slope: float(0.25) } }),
    ];
    const given = model(nodes, { functions: [scale], initializers: { w: float32s([], [-2]) } });
    // -2 x 0.5 = -1 x; then 2 x.
    expect(outputOf(given)).toEqual([2, 4]);
    const { nodes: made, functions } = decodeModel(expanded(given));
    expect(functions.size).toBe(0);
    expect(new Set(made.flatMap(({ outputs }) => outputs)).size).toBe(4);
  });

  it('may call others, pass on what they get, leave out inputs and outputs, and hold control flow', () => {
    const outer = own(
      'Outer',
      ['a', 'bound', 'same'],
      ['unused', 'b', 'same'],
      [
        call('Scale', ['a', 'same'], ['t']),
        { op: 'Clip', inputs: ['t', 'bound'], outputs: ['c'] },
        { op: 'Neg', inputs: ['c'], outputs: ['unused'] },
        {
          op: 'If',
          inputs: ['yes'],
          outputs: ['b'],
          attributes: {
            then_branch: branch([call('Scale', ['c', 'same'], ['d'])], ['d']),
            else_branch: branch([{ op: 'Neg', inputs: ['c'], outputs: ['d'] }], ['d']),
          },
        },
        {
          op: 'Constant',
          inputs: [],
          outputs: ['yes'],
          attributes: { value: { type: 4, t: { dataType: 9, int32Data: [1] } } },
        },
      ].sort((a, b) => Number(b.op === 'Constant') - Number(a.op === 'Constant')),
    );
    const nodes = [call('Outer', ['x', '', 'w'], ['', 'm', 'n']), { op: 'Add', inputs: ['m', 'n'], outputs: ['y'] }];
    expect(outputOf(model(nodes, { functions: [outer, scale], initializers: { w: float32s([], [3]) } }))).toEqual([
      12, 21,
    ]);
  });

  it('stay where they are of another operator set', () => {
    const older = own('Old', ['a'], ['b'], [{ op: 'Relu', inputs: ['a'], outputs: ['b'] }], { opset: 12 });
    const given = model([call('Old', ['x'], ['y'])], { functions: [older] });
    expect(refusal(() => graphOf(given))).toContain('Old "y": is a function of the model');
  });

  it.each<[string, TestFunction[], string]>([
    [
      'that call themselves',
      [own('F', ['a'], ['b'], [call('G', ['a'], ['b'])]), own('G', ['a'], ['b'], [call('F', ['a'], ['b'])])],
      'function "own:F" of the model calls itself',
    ],
    [
      'that unfold to more than can be held',
      Array.from({ length: 20 }, (_, i) => {
        const nodes =
          i === 0
            ? [{ op: 'Relu', inputs: ['a'], outputs: ['b'] }]
            : [call(`${i - 1}`, ['a'], ['t']), call(`${i - 1}`, ['t'], ['b'])];
        return own(i === 19 ? 'F' : `${i}`, ['a'], ['b'], nodes);
      }),
      'unfold to more than 100000 nodes',
    ],
    [
      'that call each other deeper than a stack may be',
      Array.from({ length: 66 }, (_, i) => {
        const next = i === 65 ? { op: 'Relu', inputs: ['a'], outputs: ['b'] } : call(`${i + 1}`, ['a'], ['b']);
        return own(i === 0 ? 'F' : `${i}`, ['a'], ['b'], [next]);
      }),
      'function "own:64": functions call each other more than 64 deep',
    ],
  ])('are refused %s', (_, functions, message) => {
    expect(refusal(() => expanded(model([call('F', ['x'], ['y'])], { functions })))).toContain(message);
  });
});

describe('an If whose condition is known', () => {
  const neg: TestNode = { op: 'Neg', inputs: ['x'], outputs: ['n'] };
  const both = (taken: readonly TestNode[], output: string, initializers = {}) => ({
    then_branch: branch(taken, [output], initializers),
    else_branch: branch([{ op: 'Abs', inputs: ['x'], outputs: ['e'] }], ['e']),
  });
  const no = { no: { dims: [], dataType: 9, int32Data: [0] }, yes: { dims: [], dataType: 9, int32Data: [1] } };
  const given = (nodes: TestNode[], shape: Shape = [2]) =>
    model(nodes, { initializers: { ...no, one: int64Proto(1), two: int64Proto(2) }, inputs: { x: shape } });

  it.each<[string, TestNode[], number[]]>([
    ['a constant', [{ op: 'If', inputs: ['yes'], outputs: ['y'], attributes: both([neg], 'n') }], [-1, -2]],
    ['one that is not so', [{ op: 'If', inputs: ['no'], outputs: ['y'], attributes: both([neg], 'n') }], [1, 2]],
    [
      'made of constants',
      [
        { op: 'Not', inputs: ['no'], outputs: ['c'] },
        { op: 'If', inputs: ['c'], outputs: ['y'], attributes: both([neg], 'n') },
      ],
      [-1, -2],
    ],
    [
      'a shape',
      [
        { op: 'Shape', inputs: ['x'], outputs: ['s'] },
        { op: 'Equal', inputs: ['s', 'two'], outputs: ['c'] },
        { op: 'If', inputs: ['c'], outputs: ['y'], attributes: both([neg], 'n') },
      ],
      [-1, -2],
    ],
  ])('is the branch that it takes: %s', (_, nodes, expected) => {
    expect(outputOf(given(nodes))).toEqual(expected);
    expect(decodeModel(expanded(given(nodes))).nodes.some(({ op }) => op === 'If')).toBe(false);
  });

  it('may stand in another, use names of another, have tensors, and pass on what is around it', () => {
    const inner: TestNode = { op: 'If', inputs: ['yes'], outputs: ['i'], attributes: both([neg], 'n') };
    const sum: TestNode = { op: 'Add', inputs: ['i', 'w'], outputs: ['n'] };
    const nodes: TestNode[] = [
      { op: 'If', inputs: ['yes'], outputs: ['a'], attributes: both([inner, sum], 'n', { w: float32s([], [10]) }) },
      { op: 'If', inputs: ['yes'], outputs: ['b'], attributes: both([neg], 'n', { w: float32s([], [100]) }) },
      { op: 'If', inputs: ['yes'], outputs: ['c'], attributes: both([], 'b') },
      { op: 'If', inputs: ['yes'], outputs: ['d'], attributes: both([], 'w', { w: float32s([1], [100]) }) },
      { op: 'Sum', inputs: ['a', 'b', 'c', 'd'], outputs: ['y'] },
    ];
    expect(outputOf(given(nodes))).toEqual([10 - 3 + 100, 10 - 6 + 100]);
  });

  const first: TestNode = { op: 'Sub', inputs: ['x', 'w'], outputs: ['q'] };
  const second = (condition: string, name: string): TestNode => ({
    op: 'If',
    inputs: [condition],
    outputs: [name],
    attributes: {
      then_branch: branch([{ op: 'Neg', inputs: ['q'], outputs: ['n'] }], ['n']),
      else_branch: branch([{ op: 'Abs', inputs: ['q'], outputs: ['n'] }], ['n']),
    },
  });

  it.each(['yes', 'no'])('may make what another whose condition is known makes: %s', (condition) => {
    const inner = second(condition, 'i');
    const around: TestNode = {
      op: 'If',
      inputs: ['yes'],
      outputs: ['o'],
      attributes: both([first, inner], 'i', { w: float32s([], [-96]) }),
    };
    const nodes: TestNode[] = [{ op: 'If', inputs: ['yes'], outputs: ['y'], attributes: both([around], 'o') }];
    expect(outputOf(given(nodes))).toEqual(condition === 'yes' ? [-97, -98] : [97, 98]);
    expect(decodeModel(expanded(given(nodes))).nodes.map(({ op }) => op)).toEqual([
      'Sub',
      condition === 'yes' ? 'Neg' : 'Abs',
      'Identity',
      'Identity',
    ]);
  });

  it('may make what another makes whose condition the image decides, which stays', () => {
    const nodes: TestNode[] = [
      { op: 'ReduceMax', inputs: ['x'], outputs: ['m'], attributes: { keepdims: 0 } },
      { op: 'Greater', inputs: ['m', 'zero'], outputs: ['c'] },
      {
        op: 'If',
        inputs: ['yes'],
        outputs: ['y'],
        attributes: both([first, second('c', 'i')], 'i', { w: float32s([], [3]) }),
      },
    ];
    const file = given(nodes);
    const { nodes: made } = decodeModel(
      expanded({ ...file, initializers: { ...file.initializers, zero: float32s([], [0]) } }),
    );
    expect(made.map(({ op }) => op)).toEqual(['ReduceMax', 'Greater', 'Sub', 'If', 'Identity']);
    expect([...(made[3]?.captured ?? [])]).toEqual(made[2]?.outputs);
  });

  it('stays where nothing that it makes has a name', () => {
    const unnamed = (condition: string, taken: readonly TestNode[]): TestNode => ({
      op: 'If',
      inputs: [condition],
      outputs: [''],
      attributes: both([...taken, neg], 'n'),
    });
    const nodes: TestNode[] = [
      { op: 'If', inputs: ['yes'], outputs: ['y'], attributes: both([unnamed('yes', [unnamed('c', [])]), neg], 'n') },
      { op: 'ReduceMax', inputs: ['x'], outputs: ['m'], attributes: { keepdims: 0 } },
      { op: 'Greater', inputs: ['m', 'm'], outputs: ['c'] },
    ];
    expect(decodeModel(expanded(given(nodes))).nodes.map(({ op }) => op)).toContain('If');
  });

  it('stays where the image decides, and reads what is around it wherever that stands in the file', () => {
    const nodes: TestNode[] = [
      { op: 'If', inputs: ['c'], outputs: ['y'], attributes: both([{ ...neg, inputs: ['outer'] }], 'n') },
      { op: 'Relu', inputs: ['x'], outputs: ['outer'] },
      { op: 'ReduceMax', inputs: ['x'], outputs: ['m'], attributes: { keepdims: 0 } },
      { op: 'Greater', inputs: ['m', 'zero'], outputs: ['c'] },
    ];
    const file = encodeModel({ ...given(nodes), initializers: { zero: float32s([], [0]) } });
    expect(expandOnnx(file)).toEqual(file);
    expect([...(decodeModel(file).nodes[0]?.captured ?? [])].sort()).toEqual(['outer', 'x']);
    const missing = { ...given(nodes.filter(({ op }) => op !== 'Relu')), initializers: { zero: float32s([], [0]) } };
    expect(refusal(() => readOnnx(encodeModel(missing)))).toContain('"outer", read by If "y"');
  });

  it('leaves a model without one as it is', () => {
    const file = encodeModel(given([{ op: 'Relu' }]));
    expect(expandOnnx(file)).toBe(file);
    expect(opsOf(readOnnx(file))).toEqual(['Relu']);
  });
});
