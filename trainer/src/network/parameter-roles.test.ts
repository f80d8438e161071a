import { GraphBuilder, nodesOf, type Value } from '@whet/compiler';
import type { ParameterSpec } from '@whet/models';
import { expect, it } from 'vitest';
import { innerParametersOf } from '../task/inner-parameters.js';
import { layersOfChannels, takenOutByMeans } from './parameter-roles.js';

it('gives what has other channels than its layer a layer of its own, so that masks per channel can be shared', () => {
  const spec = (name: string, shape: readonly number[], layer: string, channelAxis = 0): ParameterSpec => {
    return { name, shape, layer, channelAxis, initializer: { kind: 'constant', value: 0 } };
  };
  const specs = layersOfChannels([
    spec('patch.weight', [4, 3, 2, 2], 'patch'),
    spec('patch.bias', [4], 'patch'),
    spec('position', [1, 9, 8], 'patch', 2),
    spec('fc.weight', [4, 8], 'fc', 1),
  ]);
  expect(specs.map(({ layer }) => layer)).toEqual(['patch', 'patch', 'position', 'fc']);
  const masks = innerParametersOf(specs, 'channel').map(({ mask }) => [mask.name, ...mask.broadcast]);
  expect(masks).toEqual([
    ['patch', 4, 1, 1, 1],
    ['patch', 4],
    ['position', 1, 1, 8],
    ['fc', 1, 8],
  ]);
});

it('knows a bias that a normalization takes out from one that something else reads, or that is no channel’s', () => {
  const g = new GraphBuilder();
  const x = g.input('x', ['N', 3, 4, 4]);
  const vectors = ['scale', 'shift', 'mean', 'variance'].map((name) => g.input(name, [3]));
  const added = [
    [3, 1, 1],
    [1, 3, 1, 1],
    [1, 4],
    [3, 1, 1],
  ].map((shape, i) => g.input(`bias${i}`, shape));
  const normal = (bias: Value | undefined, isReadTwice = false): Value => {
    const sum = g.apply('Add', [x, bias], {});
    const normalized = g.apply('BatchNormalization', [sum, ...vectors], { epsilon: 1e-5 });
    return isReadTwice ? g.apply('Add', [normalized, sum], {}) : normalized;
  };
  const outputs = new Map(added.map((bias, i) => [`${i}`, normal(bias, i === 3)]));
  const graph = { name: 'biases', inputs: [x, ...vectors, ...added], outputs };
  const found = takenOutByMeans(graph, nodesOf(outputs.values()), ({ op }) => op === 'BatchNormalization');
  expect([...found].map(({ name }) => name)).toEqual(['bias0', 'bias1']);
});
