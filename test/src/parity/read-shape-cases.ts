import { float, int64Proto } from '../../../compiler/src/onnx/models.test.helper.js';
import { one, type ReadCase, series } from './read-case.js';

const max = Number.MAX_SAFE_INTEGER;

/** What moves values and computes none. */
export const shapeCases: readonly ReadCase[] = [
  one('by attributes', 9, { op: 'Slice', attributes: { starts: [0, -5], ends: [1, max], axes: [1, 3] } }),
  one('without axes', 9, { op: 'Slice', attributes: { starts: [1, 1], ends: [2, 3] } }),
  one(
    'by inputs',
    10,
    { op: 'Slice' },
    {
      initializers: {
        starts: int64Proto(1, -3),
        ends: int64Proto(6, max),
        axes: int64Proto(-2, 3),
        steps: int64Proto(2, 1),
      },
    },
  ),
  one(
    'backwards',
    13,
    { op: 'Slice' },
    {
      initializers: {
        starts: int64Proto(-1, 1),
        ends: int64Proto(-max, 3),
        axes: int64Proto(3, 1),
        steps: int64Proto(-2, 1),
      },
    },
  ),
  one('of nothing', 13, { op: 'Slice' }, { initializers: { starts: int64Proto(0), ends: int64Proto(max) } }),
  one('by attribute', 11, { op: 'Squeeze', attributes: { axes: [0, -1] } }, { inputs: { x: [1, 3, 1] } }),
  one('by input', 13, { op: 'Squeeze' }, { inputs: { x: [1, 3, 1] }, initializers: { axes: int64Proto(0) } }),
  one('of every 1', 13, { op: 'Squeeze' }, { inputs: { x: [1, 3, 1] } }),
  one('by attribute', 11, { op: 'Unsqueeze', attributes: { axes: [3, 0] } }, { inputs: { x: [2, 3] } }),
  one('by input', 13, { op: 'Unsqueeze' }, { inputs: { x: [2, 3] }, initializers: { axes: int64Proto(-1) } }),
  ...[0, 1, 2, -1, 4].map((axis) => one(`at ${axis}`, 13, { op: 'Flatten', attributes: { axis } })),
  one('by default', 13, { op: 'Flatten' }),
  one('by default', 13, { op: 'Transpose' }),
  one('copying and computing', 13, { op: 'Reshape' }, { initializers: { shape: int64Proto(0, -1, 3) } }),
  one('both ways', 13, { op: 'Expand' }, { inputs: { x: [3, 1] }, initializers: { shape: int64Proto(2, 1, 4) } }),
  one('', 13, { op: 'Tile' }, { initializers: { repeats: int64Proto(1, 2, 1, 3) } }),
  one('along the last axis', 13, { op: 'Concat', inputs: ['x', 'x', 'x'], attributes: { axis: -1 } }),
  one('from the end', 13, { op: 'Gather', attributes: { axis: 1 } }, { initializers: { i: int64Proto(-1, 0) } }),
  ...[
    { dims: [3, 2], int64Data: [0, 1, 1, -1, -2, 0] },
    { dims: [2, 2, 1], int64Data: [1, 0, -1, -2] },
    { dims: [2, 4], int64Data: [0, 1, 2, 3, -1, -1, -1, -1] },
  ].map((places) =>
    one(`of ${places.dims.join(' x ')}`, 13, { op: 'GatherND' }, { initializers: { i: { dataType: 7, ...places } } }),
  ),
  ...['none', 'add'].map((reduction) =>
    one(
      `of rows, ${reduction}`,
      16,
      { op: 'ScatterND', attributes: { reduction } },
      { initializers: { i: { dims: [3, 2], dataType: 7, int64Data: [0, 1, 1, -1, -2, 0] }, u: series([3, 7, 9]) } },
    ),
  ),
  one(
    'of elements',
    13,
    { op: 'ScatterND' },
    {
      inputs: { x: [3, 4] },
      initializers: { i: { dims: [2, 2], dataType: 7, int64Data: [0, 1, 2, -1] }, u: series([2]) },
    },
  ),
  one('uneven', 11, { op: 'Split', outputs: ['a', 'y'], attributes: { axis: 3, split: [2, 7] } }),
  one(
    'uneven',
    13,
    { op: 'Split', outputs: ['a', 'y'], attributes: { axis: 3 } },
    { initializers: { split: int64Proto(2, 7) } },
  ),
  one('even', 13, { op: 'Split', outputs: ['a', 'y'], attributes: { axis: 1 } }),
  one('with a shorter last', 18, { op: 'Split', outputs: ['a', 'y'], attributes: { axis: 3, num_outputs: 2 } }),
  one('by attribute', 10, { op: 'Pad', attributes: { pads: [0, 0, 1, 2, 0, 0, 3, 0], value: float(1.5) } }),
  one('by input', 11, { op: 'Pad' }, { initializers: { pads: int64Proto(0, 1, 0, 0, 0, 0, 2, 0), v: series([]) } }),
  one(
    'of some axes',
    18,
    { op: 'Pad', inputs: ['x', 'pads', '', 'axes'] },
    {
      initializers: { pads: int64Proto(1, 0, 0, 2), axes: int64Proto(-1, 1) },
    },
  ),
  one('that crops', 13, { op: 'Pad' }, { initializers: { pads: int64Proto(0, 0, -1, 2, 0, 0, -2, -3) } }),
  ...['reflect', 'edge'].map((mode) =>
    one(
      mode,
      13,
      { op: 'Pad', attributes: { mode } },
      { until: 'Min', initializers: { pads: int64Proto(0, 0, 1, 2, 0, 0, 3, 0) } },
    ),
  ),
  ...['DCR', 'CRD'].map((mode) => one(mode, 13, { op: 'DepthToSpace', attributes: { blocksize: 2, mode } })),
  one('', 13, { op: 'SpaceToDepth', attributes: { blocksize: 2 } }, { inputs: { x: [1, 2, 4, 6] } }),
];
