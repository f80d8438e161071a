import type { GraphBuilder, OperatorName, Value } from '@whet/compiler';
import { attributeKinds, int64s, operators } from '@whet/compiler';
import { dtypeOf, type ParsedAttribute, type ParsedNode, toTensor, Unsupported } from './onnx-models.js';

type Attributes = Record<string, unknown>;
type Operands = (Value | undefined)[];

export function readAttribute(message: ParsedAttribute): unknown {
  switch (message.type) {
    case 1:
      return message.f;
    case 2:
      return Number(message.i);
    case 3:
      return Buffer.from(message.s ?? []).toString('latin1');
    case 4:
      return message.t && toTensor(message.t);
    case 6:
      return message.floats;
    case 7:
      return message.ints?.map(Number);
    default:
      throw new Unsupported(`attribute ${message.name} of type ${message.type}`);
  }
}

/** Attributes that say nothing where they have this value. */
const withoutEffect: Record<string, Attributes> = {
  MaxPool: { storage_order: 0 },
  Cast: { saturate: 1 },
  BatchNormalization: { momentum: true, training_mode: 0, spatial: 1 },
  Dropout: { ratio: true, seed: true },
  LayerNormalization: { stash_type: 1 },
  Reshape: { allowzero: 0 },
  Resize: { cubic_coeff_a: true, exclude_outside: 0, extrapolation_value: true },
};

/** Defaults of attributes that the table wants to be said. */
const required: Record<string, Attributes> = {
  Flatten: { axis: 1 },
  Gather: { axis: 0 },
  GatherElements: { axis: 0 },
  ScatterElements: { axis: 0, reduction: 'none' },
  Softmax: { axis: -1 },
  LogSoftmax: { axis: -1 },
  ArgMax: { axis: 0, keepdims: 1 },
  ArgMin: { axis: 0, keepdims: 1 },
  Pad: { mode: 'constant' },
};

/** Attributes that are inputs by opset 18, in the order of the inputs after the first. */
const movedToInputs: Record<string, readonly string[]> = { Squeeze: ['axes'], Unsqueeze: ['axes'], Pad: ['pads'] };

function fixWindow(op: string, a: Attributes, [x, w]: Operands): void {
  const image = x?.shape.slice(2) as number[];
  if (image.length !== 2) throw new Unsupported(`images of ${image.length} axes`);
  const isPool = op === 'MaxPool' || op === 'AveragePool';
  a['kernel_shape'] ??= w?.shape.slice(2);
  a['strides'] ??= [1, 1];
  if (!isPool) a['group'] ??= 1;
  if (!isPool) a['dilations'] ??= [1, 1];
  if (op === 'ConvTranspose') a['output_padding'] ??= [0, 0];
  const { kernel_shape: kernel = [], strides = [], dilations = [1, 1] } = a as Record<string, number[]>;
  const { auto_pad = 'NOTSET' } = a;
  delete a['auto_pad'];
  if (auto_pad === 'SAME_UPPER' || auto_pad === 'SAME_LOWER') {
    const totals = image.map((size, axis) => {
      const [stride, span] = [
        strides[axis] as number,
        ((kernel[axis] as number) - 1) * (dilations[axis] as number) + 1,
      ];
      if (op === 'ConvTranspose') return Math.max(0, span - stride);
      return Math.max(0, (Math.ceil(size / stride) - 1) * stride + span - size);
    });
    const less = totals.map((total) => Math.floor(total / 2));
    const more = totals.map((total) => Math.ceil(total / 2));
    a['pads'] = auto_pad === 'SAME_UPPER' ? [...less, ...more] : [...more, ...less];
  } else {
    a['pads'] = auto_pad === 'VALID' ? [0, 0, 0, 0] : (a['pads'] ?? [0, 0, 0, 0]);
  }
}

/** A node's attributes as the table takes them, and its operands: both by opset 18. */
export function byTable(g: GraphBuilder, node: ParsedNode, operands: Operands, opset: number) {
  const op = node.opType;
  if (!(op in operators) || (node.domain ?? '') !== '') throw new Unsupported('operator');
  const a: Attributes = { ...required[op] };
  const inputs = [...operands];
  for (const message of node.attribute ?? []) {
    const value = readAttribute(message);
    const silent = withoutEffect[op]?.[message.name];
    if (silent !== true && silent !== value) a[message.name] = value;
  }
  if (op === 'Cast') a['to'] = dtypeOf(a['to'] as number);
  if (op === 'Transpose') a['perm'] ??= inputs[0]?.shape.map((_, axis, { length }) => length - 1 - axis);
  if (['Conv', 'ConvTranspose', 'MaxPool', 'AveragePool'].includes(op)) fixWindow(op, a, inputs);
  if (op.startsWith('Reduce')) a['keepdims'] ??= 1;
  if (op.endsWith('Softmax') && opset < 13 && a['axis'] !== -1) throw new Unsupported('Softmax of a flattened input');
  const moved = op.startsWith('Reduce') ? ['axes'] : (movedToInputs[op] ?? []);
  moved.forEach((name, i) => {
    if (a[name] !== undefined) inputs[i + 1] = g.constant(int64s(a[name] as number[]));
    delete a[name];
  });
  for (const name of Object.keys(a)) {
    if (!(name in attributeKinds[op as OperatorName])) throw new Unsupported(`attribute ${name} = ${a[name]}`);
  }
  return { op: op as OperatorName, attributes: a as never, inputs };
}
