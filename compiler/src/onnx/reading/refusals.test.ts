import { describe, expect, it } from 'vitest';
import {
  float32s,
  int64Proto,
  read,
  refusal,
  type TestAttribute,
  type TestModel,
  type TestNode,
  tensor,
} from '../models.test.helper.js';

type Row = readonly [
  message: string,
  op: string,
  more?: Partial<TestModel> & {
    readonly attributes?: Readonly<Record<string, TestAttribute>>;
    /** Names of what the node reads; `x [N, 4, 6, 6]` when absent. */
    readonly reads?: readonly string[];
    readonly makes?: readonly string[];
    /** Nodes before it. */
    readonly before?: readonly TestNode[];
  },
];

const images = { x: ['N', 4, 6, 6] };
const sized = { x: ['N', 4, 'H', 'W'] };
const scale = float32s([], [0.5]);
const kernel = { reads: ['x', 'w'], initializers: { w: float32s([4, 4, 1, 1], new Array(16).fill(1)) } };
const two = { dims: [2], dataType: 1, floatData: [1, 2] };

/** The shape of `x`, `[N, 4, 6, 6]`, and one of which nothing but the length is known. */
const shape: TestNode = { op: 'Shape', name: 'shape', inputs: ['x'], outputs: ['s'] };
const open: readonly TestNode[] = [
  shape,
  { op: 'Gather', name: 'first', inputs: ['s', 'zero'], outputs: ['n'] },
  { op: 'Sub', name: 'less', inputs: ['n', 'one'], outputs: ['u'] },
];
const openInitializers = { zero: int64Proto(0), one: int64Proto(1) };

/** What a node is refused for: each reason once. */
const rows: readonly Row[] = [
  ['has no shape', 'ConstantOfShape', { reads: [''] }],
  ['[2, -1] is not a shape', 'ConstantOfShape', { reads: ['s'], initializers: { s: int64Proto(2, -1) } }],
  [
    'takes one value, got 2',
    'ConstantOfShape',
    { reads: ['s'], initializers: { s: int64Proto(2) }, attributes: { value: tensor(two) } },
  ],
  ['takes at least one input', 'Sum', { reads: [] }],
  ['takes at least one input', 'Concat', { reads: [], attributes: { axis: 0 } }],
  ['names no axis', 'Concat', { reads: ['x', 'x'] }],
  ['casts to element type string', 'Cast', { attributes: { to: 8 } }],
  [
    'expected the new shape to be known when the model is read, got "s"',
    'Reshape',
    { reads: ['x', 's'], inputs: { ...images, s: [2] } },
  ],
  ['attribute alpha is of type int, expected float', 'LeakyRelu', { attributes: { alpha: 1 } }],
  [
    'mode "cubic" is not supported',
    'Resize',
    { reads: ['x', '', 's'], attributes: { mode: 'cubic' }, initializers: { s: float32s([4], [1, 1, 2, 2]) } },
  ],
  ['attribute own is not supported', 'Relu', { attributes: { own: 1 } }],
  [
    'spatial 0 is not supported',
    'BatchNormalization',
    {
      reads: ['x', 'v', 'v', 'v', 'v'],
      opset: 7,
      attributes: { spatial: 0 },
      initializers: { v: float32s([4], [1, 1, 1, 1]) },
    },
  ],
  [
    'names no num_groups',
    'GroupNormalization',
    { reads: ['x', 'v', 'v'], opset: 21, initializers: { v: float32s([4], [1, 1, 1, 1]) } },
  ],
  [
    'expected the scale to be constant, got "x"',
    'DequantizeLinear',
    { reads: ['q', 'x'], initializers: { q: { dims: [2], dataType: 3, int32Data: [1, 2] } } },
  ],
  [
    'has no scale',
    'DequantizeLinear',
    { reads: ['q'], initializers: { q: { dims: [2], dataType: 3, int32Data: [1, 2] } } },
  ],
  [
    'quantizes by blocks, which is not supported',
    'DequantizeLinear',
    {
      reads: ['q', 's'],
      opset: 21,
      attributes: { block_size: 2 },
      initializers: { q: { dims: [2], dataType: 3, int32Data: [1, 2] }, s: scale },
    },
  ],
  [
    'has 3 scales for axis 0 of [2]',
    'DequantizeLinear',
    {
      reads: ['q', 's'],
      attributes: { axis: 0 },
      initializers: { q: { dims: [2], dataType: 3, int32Data: [1, 2] }, s: float32s([3], [1, 1, 1]) },
    },
  ],
  [
    'its output 1 "mask" is not supported',
    'Dropout',
    { makes: ['y', 'mask'], outputs: { y: undefined, mask: undefined } },
  ],
  [
    'expected 4 sizes or scales, one an axis, got 2',
    'Resize',
    { reads: ['x', '', 's'], initializers: { s: float32s([2], [2, 2]) } },
  ],
  [
    'antialias is not supported',
    'Resize',
    {
      reads: ['x', '', 's'],
      opset: 18,
      attributes: { antialias: 1 },
      initializers: { s: float32s([4], [1, 1, 2, 2]) },
    },
  ],
  ['has neither scales nor sizes', 'Resize', { reads: ['x'] }],
  ['has no scales', 'Upsample', { opset: 9, reads: ['x'] }],
  ['has no new shape', 'Reshape', {}],
  ['has no new shape', 'Expand', {}],
  [
    'makes a value without elements',
    'Reshape',
    { reads: ['x', 's'], opset: 14, attributes: { allowzero: 1 }, initializers: { s: int64Proto(0, 4) } },
  ],
  [
    'dimension 4 copies an axis that [N, 4, 6, 6] lacks',
    'Reshape',
    { reads: ['x', 's'], initializers: { s: int64Proto(1, 1, 1, 1, 0) } },
  ],
  [
    'expected one dimension to be open at most, got [-1, -1]',
    'Reshape',
    { reads: ['x', 's'], initializers: { s: int64Proto(-1, -1) } },
  ],
  ['cannot reshape [N, 4, 6, 6] to [5, -1]', 'Reshape', { reads: ['x', 's'], initializers: { s: int64Proto(5, -1) } }],
  ['drops whatever axes of [N, 4, 6, 6] turn out to be 1; name the axes', 'Squeeze', {}],
  ['axis 1 of [N, 4, 6, 6] is not 1', 'Squeeze', { reads: ['x', 's'], initializers: { s: int64Proto(1) } }],
  ['names no axes', 'Unsqueeze', {}],
  ['[N, 4, 6, 6] does not expand to [5, 6]', 'Expand', { reads: ['x', 's'], initializers: { s: int64Proto(5, 6) } }],
  ['names no repeats', 'Tile', {}],
  [
    'slices along the symbol H',
    'Slice',
    {
      reads: ['x', 'from', 'to', 'at', 'by'],
      inputs: sized,
      initializers: { from: int64Proto(-1), to: int64Proto(-5), at: int64Proto(2), by: int64Proto(-1) },
    },
  ],
  ['has no starts', 'Slice', { opset: 9 }],
  ['has no ends', 'Slice', { opset: 9, attributes: { starts: [0] } }],
  [
    'expected as many starts, ends, axes and steps, got 1, 2, 1, 1',
    'Slice',
    { opset: 9, attributes: { starts: [0], ends: [1, 2], axes: [0] } },
  ],
  ['splits along the symbol N', 'Split', { makes: ['y', 'z'] }],
  [
    'splits 4 elements into [1, 1] for 2 outputs',
    'Split',
    { reads: ['x', 's'], makes: ['y', 'z'], attributes: { axis: 1 }, initializers: { s: int64Proto(1, 1) } },
  ],
  ['has no pads', 'Pad', {}],
  ['expected 8 pads, got 3', 'Pad', { reads: ['x', 's'], initializers: { s: int64Proto(0, 0, 1) } }],
  [
    'crops [N, 4, H, W] along a symbol',
    'Pad',
    { reads: ['x', 's'], inputs: sized, initializers: { s: int64Proto(0, 0, -1, 0, 0, 0, 0, 0) } },
  ],
  ['strides [1, 2, 3] is not two numbers', 'Conv', { ...kernel, attributes: { strides: [1, 2, 3] } }],
  ['strides [0,1] is too small', 'Conv', { ...kernel, attributes: { strides: [0, 1] } }],
  ['pads [1, 1] are not four sizes', 'Conv', { ...kernel, attributes: { pads: [1, 1] } }],
  [
    'auto_pad SAME_UPPER on an image whose size is the symbol H',
    'MaxPool',
    { inputs: sized, attributes: { auto_pad: 'SAME_UPPER', kernel_shape: [3, 3], strides: [2, 2] } },
  ],
  [
    'ceil_mode on an image whose size is the symbol H',
    'MaxPool',
    { inputs: sized, attributes: { ceil_mode: 1, kernel_shape: [3, 3], strides: [2, 2] } },
  ],
  [
    'dilations [2,2] are not supported',
    'AveragePool',
    { opset: 19, attributes: { dilations: [2, 2], kernel_shape: [2, 2] } },
  ],
  [
    'is in training mode',
    'Dropout',
    { reads: ['x', 'r', 't'], initializers: { r: float32s([], [0.5]), t: { dims: [], dataType: 9, int32Data: [1] } } },
  ],
  [
    'holds no value, or a text, or a sparse tensor',
    'Constant',
    { reads: [], attributes: { value_strings: { type: 8, strings: [] } } },
  ],
  [
    'expected images [N, C, H, W], got 1 spatial axes',
    'Conv',
    { ...kernel, inputs: { x: ['N', 4, 6] }, initializers: { w: float32s([4, 4, 1], new Array(16).fill(1)) } },
  ],
  ['input 1 is missing', 'Add', { reads: ['x', ''] }],
  ['names no size', 'LRN'],
  ['size 0 of rank 4', 'LRN', { attributes: { size: 0 } }],
  ['names no axis, or several', 'CumSum', { reads: ['x', 'a'], initializers: { a: int64Proto(1, 2) } }],
  ['sums along the symbol H', 'CumSum', { reads: ['x', 'a'], inputs: sized, initializers: { a: int64Proto(2) } }],
  [
    'batch_dims 1 is not supported',
    'GatherND',
    { reads: ['x', 'a'], initializers: { a: int64Proto(1) }, attributes: { batch_dims: 1 } },
  ],
  ['has places [1] in [N, 4, 6, 6]', 'GatherND', { reads: ['x', 'a'], initializers: { a: int64Proto(1) } }],
  [
    'place 9 lies outside axis 0, which has size 4',
    'GatherND',
    { reads: ['x', 'a'], inputs: { x: [4, 6] }, initializers: { a: int64Proto(9) } },
  ],
  [
    'has the symbol C as its number of channels',
    'GroupNormalization',
    {
      reads: ['x', 's', 's'],
      inputs: { x: ['N', 'C', 6, 6] },
      opset: 21,
      initializers: { s: float32s([4], [1, 1, 1, 1]) },
      attributes: { num_groups: 2 },
    },
  ],
  [
    'softcap is not supported',
    'Attention',
    { reads: ['x', 'x', 'x'], opset: 23, attributes: { softcap: { type: 1, f: 1.5 } } },
  ],
  ['its heads are not known', 'Attention', { reads: ['x', 'x', 'x'], inputs: { x: ['N', 'A', 6, 6] }, opset: 23 }],
  [
    'expected query of rank 4, or 3 and a number of heads, got [N, 6, 6]',
    'Attention',
    { reads: ['x', 'x', 'x'], inputs: { x: ['N', 6, 6] }, opset: 23 },
  ],
  [
    'shares 4 heads among 6',
    'Attention',
    { reads: ['q', 'x', 'x'], inputs: { x: ['N', 4, 6, 6], q: ['N', 6, 6, 6] }, opset: 23 },
  ],
  [
    'is causal over a length that is a symbol',
    'Attention',
    { reads: ['x', 'x', 'x'], inputs: { x: ['N', 4, 'L', 6] }, opset: 23, attributes: { is_causal: 1 } },
  ],
  [
    'reads keys and values of before, which is not supported',
    'Attention',
    { reads: ['x', 'x', 'x', '', 'x', 'x'], opset: 23 },
  ],
  [
    'makes a shape that is not known when the model is read',
    'ConstantOfShape',
    { reads: ['u'], before: open, initializers: openInitializers },
  ],
  ['is of a value that is not known when the model is read', 'NonZero'],
  [
    'expands to a shape that is not known when the model is read',
    'Expand',
    { reads: ['x', 'u'], before: open, initializers: openInitializers },
  ],
  [
    'expected repeats to be numbers, got [N, 4, 6, 6]',
    'Tile',
    { reads: ['x', 's'], inputs: { x: ['N', 4, 6, 6] }, before: [shape] },
  ],
  ['expected axes to be numbers, got [N, 4, 6, 6]', 'ReduceSum', { reads: ['x', 's'], before: [shape] }],
  [
    'expected numbers along axis 1, got [0, ?, 1]',
    'Slice',
    { reads: ['x', 'zero', 'u', 'one'], before: open, initializers: openInitializers },
  ],
  [
    'its output depends on an image size that is the symbol H',
    'ConvTranspose',
    { ...kernel, inputs: sized, attributes: { auto_pad: 'SAME_UPPER' } },
  ],
  ['expected p of 1 or more, got 0', 'LpPool', { attributes: { p: 0, kernel_shape: [2, 2] } }],
  ['expected p of 1 or 2, got 3', 'LpNormalization', { attributes: { p: 3 } }],
  [
    'is dilated on an image whose size is the symbol H',
    'LpPool',
    { opset: 18, inputs: sized, attributes: { dilations: [2, 2], kernel_shape: [2, 2] } },
  ],
  ['casts to element type uint8 what is not clipped to 0..255', 'Cast', { attributes: { to: 2 } }],
  [
    'expected places to be known when the model is read, got "s"',
    'GatherND',
    { reads: ['v', 's'], inputs: { s: [1] }, inputType: 7, initializers: { v: two } },
  ],
  [
    'expected rows of a known size, got [H]',
    'ScatterND',
    { reads: ['x', 'a', 'x'], inputs: { x: [4, 'H'] }, initializers: { a: int64Proto(1) } },
  ],
  [
    'expected as many zero points as scales, 1, got 2',
    'DequantizeLinear',
    {
      reads: ['q', 's', 'z'],
      initializers: {
        q: { dims: [2], dataType: 3, int32Data: [1, 2] },
        s: scale,
        z: { dims: [2], dataType: 3, int32Data: [0, 0] },
      },
    },
  ],
  [
    '"x" is not made by QuantizeLinear',
    'DequantizeLinear',
    { reads: ['x', 's'], inputType: 3, initializers: { s: scale } },
  ],
  [
    'an output of 9 takes padding of the output, which is not supported',
    'ConvTranspose',
    { ...kernel, attributes: { output_shape: [9, 9] } },
  ],
  [
    'quantizes to a type that is not known to be an integer of 8 or 16 bits',
    'QuantizeLinear',
    { reads: ['v', 's'], opset: 21, attributes: { output_dtype: 17 }, initializers: { v: two, s: scale } },
  ],
  [
    'expected images of dtype float32, got bool',
    'Resize',
    { reads: ['x', '', 's'], inputType: 9, initializers: { s: float32s([4], [1, 1, 2, 2]) } },
  ],
  [
    'expected sizes that are known, got [N, 4, 6, 6] for [N, 4, H, W]',
    'Resize',
    {
      reads: ['x', '', '', 'b'],
      inputs: sized,
      before: [
        shape,
        { op: 'Gather', name: 'head', inputs: ['s', 'two'], outputs: ['h'] },
        { op: 'Concat', name: 'sizes', inputs: ['h', 'six'], outputs: ['b'], attributes: { axis: 0 } },
      ],
      initializers: { two: int64Proto(0, 1), six: int64Proto(6, 6) },
    },
  ],
  [
    'reshapes [N, C, H, W] to [N, 1, C, H*W]: more than one symbol moves',
    'LRN',
    { inputs: { x: ['N', 'C', 'H', 'W'] }, attributes: { size: 3 } },
  ],
  [
    'expands to 4N, which no input has as a dimension',
    'Expand',
    {
      reads: ['v', 'm'],
      before: [
        shape,
        { op: 'Gather', name: 'first', inputs: ['s', 'zero'], outputs: ['n'] },
        { op: 'Mul', name: 'more', inputs: ['n', 'four'], outputs: ['m'] },
      ],
      initializers: { v: float32s([1], [1]), zero: int64Proto(0), four: int64Proto(4) },
    },
  ],
];

describe('a node is refused', () => {
  for (const [message, op, { attributes = {}, reads = ['x'], makes = ['y'], before = [], ...more } = {}] of rows) {
    it(`${op}: ${message}`, () => {
      const model: TestModel = {
        nodes: [...before, { op, name: 'node', inputs: reads, outputs: makes, attributes }],
        inputs: images,
        outputs: { y: undefined },
        opset: 17,
        ...more,
      };
      const said = refusal(() => read(model));
      expect(said).toContain(`${op} "node"`);
      expect(said).toContain(message);
    });
  }
});
