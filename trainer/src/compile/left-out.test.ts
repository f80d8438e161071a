import { readFile } from 'node:fs/promises';
import { evaluate, type Graph, GraphBuilder, makeTensor, matrixTranspose, type Tensor } from '@whet/compiler';
import { nextName } from '@whet/runtime/format';
import { describe, expect, it } from 'vitest';
import { compilePattern } from '../pattern/compile-pattern.js';
import { exampleHeads } from './start-heads.js';

interface Reference {
  readonly rate: number;
  readonly smoothing: number;
  readonly decay: number;
  readonly images: number[][];
  readonly labels: number[];
  readonly support: number[];
  readonly queries: number[];
  readonly start: number[][];
  readonly steps: Readonly<Record<'cosine' | 'prototype', { loss: number; logits: number[][]; weight: number[][] }[]>>;
}

const place = new URL('../../../test/reference/left-out.json', import.meta.url);
const reference = JSON.parse(await readFile(place, 'utf8')) as Reference;
const float64 = (shape: number[], values: readonly number[]) => makeTensor(shape, Float64Array.from(values));
const [length, features] = [reference.start.length, reference.start[0]?.length as number];
const count = reference.labels.length;
const ways = Math.max(...reference.labels) + 1;

/** Images times a matrix that moves, under prototypes. */
function graphsOf(kind: 'cosine' | 'prototype') {
  const g = new GraphBuilder();
  const images = g.input('images', ['N', features]);
  const weight = g.input('weight', [length, features]);
  const output = g.apply('MatMul', [images, matrixTranspose(g, weight)], {});
  return compilePattern({
    features: { name: 'features', inputs: [images, weight], outputs: new Map([['features', output]]) },
    featureLength: length,
    ...exampleHeads[kind],
    objective: 'prototypes',
    smoothing: reference.smoothing,
    decay: { by: reference.decay, starts: new Map([['weight', reference.start.flat() as unknown as Float32Array]]) },
  });
}

const oneHot = reference.labels.flatMap((label) => Array.from({ length: ways }, (_, way) => Number(way === label)));
const constants: [string, Tensor][] = [
  ['features', float64([count, features], reference.images.flat())],
  ['labels', float64([count, ways], oneHot)],
  ['support', float64([count], reference.support)],
  ['queries', float64([count], reference.queries)],
  ['rate', float64([], [reference.rate])],
];
const fed = (graph: Graph, values: ReadonlyMap<string, Tensor>) =>
  new Map([...constants, ...values].filter(([name]) => graph.inputs.some((input) => input.name === name)));
const numbers = (tensor: Tensor | undefined): number[] => Array.from(tensor?.data ?? [], Number);

describe('steps by prototypes that an example is no part of are those of PyTorch, in float64', () => {
  it.each(['cosine', 'prototype'] as const)('%s', (kind) => {
    const { step, leftOut } = graphsOf(kind);
    let values = new Map<string, Tensor>([['weight', float64([length, features], reference.start.flat())]]);
    for (const expected of reference.steps[kind]) {
      const logits = numbers(evaluate(leftOut as Graph, fed(leftOut as Graph, values)).get('logits'));
      for (const [at, value] of expected.logits.flat().entries()) expect(logits[at]).toBeCloseTo(value, 3);
      const outputs = evaluate(step, fed(step, values));
      expect(outputs.get('loss')?.data[0]).toBeCloseTo(expected.loss, 4);
      values = new Map([['weight', outputs.get(nextName('weight')) as Tensor]]);
      for (const [at, value] of expected.weight.flat().entries())
        expect(numbers(values.get('weight'))[at]).toBeCloseTo(value, 5);
    }
  });
});
