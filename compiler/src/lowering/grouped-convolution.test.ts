import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { type Graph, nodesOf, type Value } from '../graph.js';
import type { ConvAttributes } from '../operators/attributes.js';
import { makeTensor, sizeOf } from '../tensor.js';
import { lowerGroups } from './grouped-convolution.js';

const plain: ConvAttributes = {
  kernel_shape: [3, 2],
  strides: [1, 1],
  pads: [0, 0, 0, 0],
  dilations: [1, 1],
  group: 2,
};

const variants: readonly (readonly [string, Partial<ConvAttributes>])[] = [
  ['plain', {}],
  ['padded', { pads: [1, 0, 2, 1] }],
  ['padded more than the kernel reaches', { kernel_shape: [1, 2], pads: [1, 1, 1, 2] }],
  ['strided', { strides: [2, 3], pads: [1, 1, 1, 1] }],
  ['dilated', { dilations: [2, 2], pads: [1, 2, 1, 0] }],
  ['strided and dilated', { strides: [2, 2], dilations: [1, 2], group: 3, pads: [1, 1, 0, 1] }],
];

const wave = ({ shape }: Value, seed: number) =>
  makeTensor(
    shape as number[],
    Float64Array.from({ length: sizeOf(shape as number[]) }, (_, i) => Math.sin(1.3 * i + seed)),
  );

function expectSame(graph: Graph): void {
  const { graph: lowered, changed } = lowerGroups(graph);
  expect(changed).toBe(true);
  expect(nodesOf(lowered.outputs.values()).map(({ op }) => op)).not.toContain('Conv');
  expect(nodesOf(lowered.outputs.values()).map(({ op }) => op)).not.toContain('ConvTranspose');
  const feeds = new Map(graph.inputs.map((input, i) => [input.name, wave(input, i)]));
  const expected = evaluate(graph, feeds).get('y');
  const found = evaluate(lowered, feeds).get('y');
  expect(found?.shape).toEqual(expected?.shape);
  expected?.data.forEach((value, i) => {
    expect(found?.data[i]).toBeCloseTo(value, 12);
  });
}

describe('convolutions in groups as matrix products', () => {
  it.each(variants)('a convolution, %s', (_, partial) => {
    const a = { ...plain, ...partial };
    const g = new GraphBuilder();
    const inputs = [
      g.input('x', [2, 2 * a.group, 7, 8]),
      g.input('w', [3 * a.group, 2, ...a.kernel_shape]),
      g.input('b', [3 * a.group]),
    ];
    for (const operands of [inputs, inputs.slice(0, 2)]) {
      expectSame({ name: 'conv', inputs: operands, outputs: new Map([['y', g.apply('Conv', operands, a)]]) });
    }
  });

  it.each(variants)('a transposed convolution, %s', (_, partial) => {
    const a = { ...plain, ...partial };
    const g = new GraphBuilder();
    const inputs = [
      g.input('x', [2, 2 * a.group, 4, 5]),
      g.input('w', [2 * a.group, 3, ...a.kernel_shape]),
      g.input('b', [3 * a.group]),
    ];
    const output_padding = [a.strides[0] - 1, a.strides[1] - 1] as const;
    for (const operands of [inputs, inputs.slice(0, 2)]) {
      const y = g.apply('ConvTranspose', operands, { ...a, output_padding });
      expectSame({ name: 'transposed', inputs: operands, outputs: new Map([['y', y]]) });
    }
  });

  it('a group of one channel that makes several', () => {
    const g = new GraphBuilder();
    const inputs = [g.input('x', [2, 3, 6, 6]), g.input('w', [12, 1, 3, 2])];
    const y = g.apply('Conv', inputs, { ...plain, group: 3 });
    expectSame({ name: 'first block of three tasks', inputs, outputs: new Map([['y', y]]) });
  });

  it('leaves one group, and one channel a group, to the device', () => {
    const g = new GraphBuilder();
    const x = g.input('x', [1, 4, 5, 5]);
    const whole = g.apply('Conv', [x, g.input('w', [4, 4, 3, 2])], { ...plain, group: 1 });
    const depthwise = g.apply('Conv', [x, g.input('v', [4, 1, 3, 2])], { ...plain, group: 4 });
    const sum = g.apply('Add', [whole, depthwise], {});
    const inputs = [x, ...nodesOf([sum]).flatMap((node) => (node.op === 'Conv' ? [node.inputs[1] as Value] : []))];
    const graph = { name: 'kept', inputs, outputs: new Map([['y', sum]]) };
    expect(lowerGroups(graph)).toEqual({ graph, changed: false });
  });
});
