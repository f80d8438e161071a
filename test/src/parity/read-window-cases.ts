import { type Attributes, one, type ReadCase, series } from './read-case.js';

const conv = (name: string, weight: readonly number[], attributes: Attributes = {}) =>
  one(name, 11, { op: 'Conv', attributes }, { initializers: { w: series(weight), b: series([weight[0] as number]) } });
const transposed = (name: string, attributes: Attributes = {}) =>
  one(name, 11, { op: 'ConvTranspose', attributes }, { initializers: { w: series([4, 3, 3, 2]) } });
const pool = (op: string, name: string, attributes: Attributes) => one(name, 11, { op, attributes });

/** Convolutions and pooling. */
export const windowCases: readonly ReadCase[] = [
  conv('plain', [6, 4, 3, 3], { kernel_shape: [3, 3] }),
  conv('without kernel_shape', [6, 4, 3, 2], { pads: [1, 0, 2, 1] }),
  conv('grouped', [6, 2, 3, 3], { group: 2, strides: [2, 1] }),
  conv('depthwise', [4, 1, 5, 5], { group: 4, pads: [2, 2, 2, 2] }),
  conv('dilated', [3, 4, 2, 2], { dilations: [2, 3] }),
  ...(['SAME_UPPER', 'SAME_LOWER', 'VALID'] as const).flatMap((auto_pad) => [
    conv(auto_pad, [3, 4, 3, 3], { auto_pad }),
    conv(`${auto_pad}, even kernel and stride`, [3, 4, 4, 2], { auto_pad, strides: [2, 3] }),
    pool('MaxPool', auto_pad, { auto_pad, kernel_shape: [3, 2], strides: [2, 2] }),
    pool('AveragePool', auto_pad, { auto_pad, kernel_shape: [3, 2], strides: [2, 2] }),
    transposed(auto_pad, { auto_pad, strides: [2, 2] }),
  ]),
  transposed('plain'),
  transposed('padded', { pads: [1, 0, 0, 1], strides: [2, 3], output_padding: [1, 2] }),
  transposed('with an output_shape', { output_shape: [14, 17], strides: [2, 2] }),
  pool('MaxPool', 'with pads', { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  pool('MaxPool', 'with ceil_mode', { kernel_shape: [3, 3], strides: [2, 3], ceil_mode: 1 }),
  pool('MaxPool', 'with ceil_mode and pads', {
    kernel_shape: [2, 2],
    strides: [3, 2],
    pads: [1, 0, 0, 1],
    ceil_mode: 1,
  }),
  pool('MaxPool', 'dilated', { kernel_shape: [2, 3], dilations: [2, 3], pads: [1, 1, 0, 1], strides: [2, 1] }),
  pool('MaxPool', 'dilated, with ceil_mode', {
    kernel_shape: [2, 2],
    dilations: [2, 3],
    strides: [2, 2],
    ceil_mode: 1,
  }),
  pool('AveragePool', 'with pads', { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
  pool('AveragePool', 'counting pads', { kernel_shape: [3, 3], pads: [1, 0, 1, 2], count_include_pad: 1 }),
  pool('AveragePool', 'with ceil_mode', { kernel_shape: [3, 2], strides: [3, 2], ceil_mode: 1 }),
  pool('AveragePool', 'with ceil_mode, counting no pads', {
    kernel_shape: [3, 2],
    strides: [3, 2],
    ceil_mode: 1,
    count_include_pad: 1,
  }),
  ...[1, 2, 3].flatMap((p) => [
    one(`of power ${p}`, 11, {
      op: 'LpPool',
      attributes: { p, kernel_shape: [2, 3], strides: [2, 1], pads: [1, 0, 0, 2] },
    }),
    one(`of power ${p}`, 11, { op: 'GlobalLpPool', attributes: { p } }),
  ]),
  one('dilated', 22, {
    op: 'LpPool',
    attributes: { kernel_shape: [2, 3], dilations: [3, 2], strides: [2, 1], pads: [1, 0, 0, 1] },
  }),
  one('dilated, of power 1', 22, { op: 'LpPool', attributes: { p: 1, kernel_shape: [1, 2], dilations: [1, 3] } }),
  pool('LpPool', 'by default', { kernel_shape: [3, 3] }),
  pool('LpPool', 'SAME_UPPER', { auto_pad: 'SAME_UPPER', kernel_shape: [3, 2], strides: [2, 2] }),
  one('with ceil_mode', 22, { op: 'LpPool', attributes: { kernel_shape: [3, 2], strides: [3, 2], ceil_mode: 1 } }),
  one('', 11, { op: 'GlobalAveragePool' }),
  one('', 11, { op: 'GlobalMaxPool' }),
];
