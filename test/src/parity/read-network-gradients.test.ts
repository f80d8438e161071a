import {
  encodeOnnx,
  evaluate,
  type Graph,
  GraphBuilder,
  makeTensor,
  sizeOf,
  staticShape,
  type Tensor,
} from '@whet/compiler';
import { type Backbone, conv4 } from '@whet/models';
import {
  backboneOfModel,
  buildTask,
  generatorFor,
  maskGranularities,
  metaGradientGraph,
  normalizations,
  readModel,
  rules,
  type TaskSettings,
} from '@whet/trainer';
import { beforeAll, describe, expect, it } from 'vitest';
import { conv4Model } from './conv4-model.js';
import { relativeError } from './reference.js';

const network = { blocks: 2, channels: [3, 4], imageSize: 8 };
const task = { ways: 3, shots: 2, queries: 2, steps: 2, innerRate: 0.1 };

/** What the code calls a layer, by what the file does. */
const inCode = (name: string): string => name.replace(/^((?:grad\/)?mask\/)conv(\d)$/, '$1block$2');

/** The same values for the same names of the code; images, one-hot labels, and moments that are some. */
function feedsOf(graph: Graph): Map<string, Tensor> {
  return new Map(
    graph.inputs.map((input) => {
      const shape = staticShape(input);
      const name = inCode(input.name);
      const random = generatorFor(9, name, 0);
      const label = name.endsWith('Labels');
      const ways = shape.at(-1) as number;
      const data = Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
        if (label) return Number(i % ways === Math.floor(i / ways) % ways);
        return name.endsWith('.variance') ? 0.5 + random.uniform() : 0.5 * random.normal();
      });
      return [input.name, makeTensor(shape, data)];
    }),
  );
}

function metaGradients(settings: TaskSettings): Map<string, Tensor> {
  const graph = metaGradientGraph(settings);
  return new Map([...evaluate(graph, feedsOf(graph))].map(([name, tensor]) => [inCode(name), tensor]));
}

const masked = ['sparse-maml', 'sparse-relu-maml'].flatMap((rule) =>
  maskGranularities.map((maskGranularity) => ({ rule, maskGranularity })),
);
const others = [...rules.keys()].filter((name) => !name.startsWith('sparse'));
const choices = [...others.map((rule) => ({ rule, maskGranularity: 'weight' as const })), ...masked];
const cases = Object.values(normalizations).flatMap((normalization) =>
  ([1, 2] as const).flatMap((order) =>
    choices.map((choice) => ({ ...choice, order, normalization, mode: normalization.name })),
  ),
);

describe('Conv4 read from an ONNX file has the meta-gradients of the code', () => {
  let read: Backbone;
  const code = conv4(network);
  beforeAll(async () => {
    read = backboneOfModel(await readModel(conv4Model(network), {}));
  });

  it.each(cases)('$rule, masks per $maskGranularity, order $order, $mode', ({ rule, mode, ...choice }) => {
    const settings = { ...task, ...choice, head: 'prototype', rule: rules.get(rule) as TaskSettings['rule'] } as const;
    const expected = metaGradients({ ...settings, backbone: code });
    const actual = metaGradients({ ...settings, backbone: read });
    expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort());
    expect([...expected.keys()].filter((name) => name.startsWith('grad/')).length).toBeGreaterThan(6);
    for (const [name, { data, shape }] of expected) {
      expect(actual.get(name)?.shape, name).toEqual(shape);
      expect(relativeError(actual.get(name)?.data ?? [], data), `${name}, ${mode}`).toBeLessThan(1e-12);
    }
  });

  it('after every inner step, of a shared head, and with a bias that the moments of a batch take out', async () => {
    const biased = { ...network, convolutionBias: true };
    const from = backboneOfModel(await readModel(conv4Model(biased), {}));
    const away = ({ parameters }: Backbone) =>
      parameters.filter(({ normalizedAway }) => normalizedAway).map(({ name }) => name);
    expect(away(from)).toEqual(['conv1.bias', 'conv2.bias']);
    expect(away(from)).toEqual(away(conv4(biased)));
    const settings = { ...task, head: 'shared', rule: rules.get('maml') as TaskSettings['rule'], order: 2 } as const;
    const mode = { normalization: normalizations.population, stepLosses: true };
    const expected = metaGradients({ ...settings, ...mode, backbone: conv4(biased) });
    const actual = metaGradients({ ...settings, ...mode, backbone: from });
    for (const [name, { data }] of expected) {
      expect(relativeError(actual.get(name)?.data ?? [], data), name).toBeLessThan(1e-12);
    }
  });
});

describe('masks per channel of matrix products', () => {
  /** Two layers: rows of the first weight are channels of its result, columns of the second. */
  function productsModel(): Uint8Array {
    const g = new GraphBuilder();
    const random = generatorFor(5, 'products', 0);
    const weight = (name: string, ...shape: number[]) =>
      g.constant(
        makeTensor(
          shape,
          Float32Array.from({ length: sizeOf(shape) }, () => 0.5 * random.normal()),
        ),
        name,
      );
    const x = g.input('x', ['N', 1, 2, 3]);
    const flat = g.apply('Flatten', [x], { axis: 1 }, 'flat');
    const one = g.apply('Gemm', [flat, weight('a.weight', 4, 6), weight('a.bias', 4)], { transB: 1 }, 'a');
    const two = g.apply('MatMul', [g.apply('Tanh', [one], {}, 'tanh'), weight('b.weight', 4, 5)], {}, 'b');
    const shifted = g.apply('Add', [two, weight('b.bias', 5)], {}, 'shifted');
    const logits = g.apply('MatMul', [shifted, weight('top', 5, 2)], {}, 'logits');
    return encodeOnnx({ name: 'products', inputs: [x], outputs: new Map([['logits', logits]]) });
  }

  it('leave closed channels where they start, whichever axis they lie along', async () => {
    const backbone = backboneOfModel(await readModel(productsModel(), {}));
    expect(backbone.parameters.map(({ name, layer, channelAxis }) => [name, layer, channelAxis])).toEqual([
      ['a.weight', 'a', 0],
      ['a.bias', 'a', 0],
      ['b.weight', 'b', 1],
      ['b.bias', 'b', 0],
    ]);
    const built = buildTask({
      ...task,
      ...{ backbone, head: 'fixed', rule: rules.get('sparse-maml') as TaskSettings['rule'], order: 1 },
      ...{ normalization: normalizations.population, maskGranularity: 'channel' },
    });
    const outputs = new Map(built.adapted);
    const graph = { name: 'task', inputs: built.inputs, outputs };
    const feeds = feedsOf(graph);
    const isOpen = (channel: number) => channel % 2 === 0;
    for (const [name, length] of Object.entries({ a: 4, b: 5 })) {
      const logits = Float64Array.from({ length }, (_, i) => (isOpen(i) ? 1 : -1));
      feeds.set(`mask/${name}`, makeTensor([length], logits));
    }
    const adapted = evaluate(graph, feeds);
    for (const { name, shape, channelAxis = 0 } of backbone.parameters) {
      const [start, end] = [feeds.get(name)?.data ?? [], adapted.get(name)?.data ?? []];
      const inner = sizeOf(shape.slice(channelAxis + 1));
      const moved = Array.from(end, (value, i) => Math.abs(value - (start[i] as number)) > 1e-9);
      const expected = moved.map((_, i) => isOpen(Math.floor(i / inner) % (shape[channelAxis] as number)));
      expect(moved, name).toEqual(expected);
    }
  });
});
