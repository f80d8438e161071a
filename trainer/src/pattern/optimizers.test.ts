import { readFile } from 'node:fs/promises';
import { evaluate, GraphBuilder, makeTensor, type Tensor } from '@whet/compiler';
import { prototypeHead } from '@whet/models';
import { nextName, type OptimizerName, optimizerNames, stateName } from '@whet/runtime/format';
import { describe, expect, it } from 'vitest';
import { compilePattern } from './compile-pattern.js';
import { optimizers } from './optimizers.js';

interface Step {
  readonly loss: number;
  readonly weight: number[][];
  readonly bias: number[];
}

interface Reference {
  readonly rate: number;
  readonly features: number[][];
  readonly labels: number[];
  readonly start: Pick<Step, 'weight' | 'bias'>;
  readonly steps: Readonly<Record<OptimizerName, Step[]>>;
}

const place = new URL('../../../test/reference/optimizers.json', import.meta.url);
const reference = JSON.parse(await readFile(place, 'utf8')) as Reference;
const float64 = (shape: number[], values: readonly number[]) => makeTensor(shape, Float64Array.from(values));
const [ways, length] = [reference.start.weight.length, reference.features[0]?.length as number];

/** The step of a head on features that are the images. */
function stepOf(optimizer: OptimizerName) {
  const g = new GraphBuilder();
  const images = g.input('images', ['N', length]);
  const features = g.apply('Mul', [images, g.scalar(1)], {});
  return compilePattern({
    features: { name: 'features', inputs: [images], outputs: new Map([['features', features]]) },
    featureLength: length,
    startHead: (h, values, labels) => prototypeHead(h, values, labels, h.constant(makeTensor([1], [1]))),
    optimizer,
  }).step;
}

describe('optimizers step as those of PyTorch do, in float64', () => {
  it.each(optimizerNames)('%s', (name) => {
    const graph = stepOf(name);
    const count = reference.labels.length;
    const oneHot = reference.labels.flatMap((label) => Array.from({ length: ways }, (_, way) => Number(way === label)));
    const constants: [string, Tensor][] = [
      ['features', float64([count, length], reference.features.flat())],
      ['labels', float64([count, ways], oneHot)],
      ['rate', float64([], [reference.rate])],
    ];
    let values = new Map<string, Tensor>([
      ['head.weight', float64([ways, length], reference.start.weight.flat())],
      ['head.bias', float64([ways], reference.start.bias)],
    ]);
    for (const [value, tensor] of [...values]) {
      for (const state of optimizers[name].states)
        values.set(stateName(value, state), float64([...tensor.shape], new Array(tensor.data.length).fill(0)));
    }
    for (const [i, expected] of reference.steps[name].entries()) {
      const feeds = new Map([...constants, ...values, ['count', float64([], [i + 1])] as const]);
      const outputs = evaluate(graph, feeds);
      values = new Map([...values.keys()].map((value) => [value, outputs.get(nextName(value)) as Tensor]));
      expect(outputs.get('loss')?.data[0]).toBeCloseTo(expected.loss, 9);
      const got = [...(values.get('head.weight')?.data ?? []), ...(values.get('head.bias')?.data ?? [])].map(Number);
      for (const [at, value] of [...expected.weight.flat(), ...expected.bias].entries()) {
        expect(got[at]).toBeCloseTo(value, 9);
      }
    }
  });
});
