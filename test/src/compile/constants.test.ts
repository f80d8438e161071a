import { describe, expect, it } from 'vitest';
import {
  encodeModel,
  float32s,
  int64Proto,
  type TestModel,
  type TestNode,
} from '../../../compiler/src/onnx/models.test.helper.js';
import { expectAsFile, fixture, weights } from './compile-helpers.js';

/** Two convolutions with `between` from `a` to `b` in the middle, pooled and classified. */
const network = (between: readonly TestNode[], initializers: TestModel['initializers'] = {}, opset = 17) =>
  encodeModel({
    inputs: { x: ['N', 1, 6, 6] },
    outputs: { y: ['N', 3] },
    opset,
    nodes: [
      { op: 'Conv', inputs: ['x', 'w1'], outputs: ['a'] },
      ...between,
      { op: 'Conv', inputs: ['b', 'w2'], outputs: ['c'] },
      { op: 'Relu', inputs: ['c'], outputs: ['d'] },
      { op: 'GlobalAveragePool', inputs: ['d'], outputs: ['e'] },
      { op: 'Flatten', inputs: ['e'], outputs: ['f'] },
      { op: 'Gemm', inputs: ['f', 'wf'], outputs: ['y'] },
    ],
    initializers: { w1: weights(4, 1, 3, 3), w2: weights(5, 4, 2, 2), wf: weights(5, 3), ...initializers },
  });

const scatter: readonly TestNode[] = [
  { op: 'ScatterElements', inputs: ['zeros', 'places', 'ones'], outputs: ['pads'] },
  { op: 'Pad', inputs: ['a', 'pads'], outputs: ['b'] },
];
const tables = {
  zeros: int64Proto(0, 0, 0, 0, 0, 0, 0, 0),
  places: int64Proto(2, 7),
  ones: int64Proto(1, 1),
};

describe('pads, shapes and axes that are made of constants', () => {
  it('are folded as the older exporter of PyTorch writes them, so that everything can move', async () => {
    const report = await expectAsFile(await fixture('pads-of-constants'), { none: ['none'], all: ['all'] });
    expect(report.patterns[1]?.moving.map(({ name }) => name)).toEqual(['w1', 'b1', 'w2', 'b2']);
    expect(report.model.opaque).toBe(false);
  });

  it.each<[string, readonly TestNode[], TestModel['initializers']]>([
    ['ScatterElements', scatter, tables],
    [
      'Tile, Trilu, ArgMax and ReduceSum',
      [
        { op: 'Tile', inputs: ['one', 'two'], outputs: ['ones2'] },
        { op: 'Trilu', inputs: ['ones2'], outputs: ['upper'], attributes: { upper: 0 } },
        { op: 'ReduceSum', inputs: ['upper', 'axis'], outputs: ['sums'], attributes: { keepdims: 0 } },
        { op: 'ArgMax', inputs: ['sums'], outputs: ['place'], attributes: { axis: 0 } },
        { op: 'Concat', inputs: ['begin', 'place', 'rest'], outputs: ['pads'], attributes: { axis: 0 } },
        { op: 'Pad', inputs: ['a', 'pads'], outputs: ['b'] },
      ],
      {
        one: { dims: [1, 1], dataType: 7, int64Data: [1] },
        two: int64Proto(2, 2),
        axis: int64Proto(1),
        begin: int64Proto(0, 0, 1),
        rest: int64Proto(0, 0, 0, 1),
      },
    ],
    [
      'floats that a Resize takes as scales',
      [
        { op: 'Transpose', inputs: ['table'], outputs: ['t'], attributes: { perm: [1, 0] } },
        { op: 'Gather', inputs: ['t', 'last'], outputs: ['scales'], attributes: { axis: 0 } },
        { op: 'Resize', inputs: ['a', '', 'scales'], outputs: ['b'], attributes: { mode: 'nearest' } },
      ],
      { table: float32s([4, 2], [0, 1, 0, 1, 0, 2, 0, 2]), last: { dims: [], dataType: 7, int64Data: [1] } },
    ],
    [
      'operators that are not read: onnxruntime computes what they make',
      [
        { op: 'GatherND', inputs: ['zeros', 'rows'], outputs: ['begin'] },
        { op: 'CumSum', inputs: ['ones', 'axis'], outputs: ['steps'] },
        { op: 'BitShift', inputs: ['shift', 'shift'], outputs: ['two'], attributes: { direction: 'LEFT' } },
        { op: 'Cast', inputs: ['two'], outputs: ['two64'], attributes: { to: 7 } },
        {
          op: 'Concat',
          inputs: ['begin', 'steps', 'begin', 'two64', 'ones1'],
          outputs: ['p'],
          attributes: { axis: 0 },
        },
        { op: 'Pad', inputs: ['a', 'p'], outputs: ['b'] },
      ],
      {
        ...tables,
        ones1: int64Proto(1),
        axis: { dims: [], dataType: 7, int64Data: [0] },
        rows: { dims: [2, 1], dataType: 7, int64Data: [0, 1] },
        shift: { dims: [1], dataType: 13, uint64Data: [1] },
      },
    ],
  ])('are folded through %s', async (_, between, initializers) => {
    const report = await expectAsFile(network(between, initializers), { all: ['all'] });
    expect(report.patterns[0]?.moving.map(({ name }) => name)).toEqual(['w1', 'w2']);
    expect(report.model.opaque).toBe(false);
  });

  it('are folded in weights that a normalization in training mode makes', async () => {
    const report = await expectAsFile(await fixture('weights-standardized'), { none: ['none'], all: ['all'] });
    expect(report.patterns[1]?.moving.map(({ name }) => name)).toEqual(['ws']);
  });
});
