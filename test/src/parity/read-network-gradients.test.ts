import { evaluate, type Graph, makeTensor, sizeOf, staticShape, type Tensor } from '@whet/compiler';
import { type Backbone, conv4 } from '@whet/models';
import {
  backboneOfModel,
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
      expect(relativeError(actual.get(name)?.data ?? [], data), `${name}, ${mode}`).toBeLessThan(1e-9);
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
      expect(relativeError(actual.get(name)?.data ?? [], data), name).toBeLessThan(1e-9);
    }
  });
});
