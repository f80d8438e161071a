import { createHash } from 'node:crypto';
import {
  type Graph,
  type GraphBuilder,
  inline,
  type Node,
  nodesOf,
  type OperatorAttributes,
  reshape,
  type Value,
} from '@whet/compiler';
import {
  type Backbone,
  momentsBy,
  type Normalization,
  type NormalizeBy,
  normalize,
  type ParameterSpec,
} from '@whet/models';
import { CompileError } from '../compile/read/compile-error.js';
import type { ModelParameter } from '../compile/read/model-parameters.js';
import type { SourceModel } from '../compile/read/read-model.js';
import { LEAST_EPSILON } from '../pattern/support-moments.js';
import { channelAxisOf, layersOfChannels, takenOutByMeans } from './parameter-roles.js';

const isNormalization = ({ op, inputs }: Node): boolean => op === 'BatchNormalization' && !inputs[0]?.constant;

/** The normalizations by moments of a batch, each called as its output tensor is, with the moments that the file has. */
function normalizationsOf(nodes: readonly Node[], layers: ReadonlyMap<string, string>): Normalization[] {
  return nodes.filter(isNormalization).map(({ inputs, output }) => {
    const [mean, variance] = [inputs[3]?.constant, inputs[4]?.constant];
    const given = mean &&
      variance && { mean: Float32Array.from(mean.data), variance: Float32Array.from(variance.data) };
    const layer = layers.get(inputs[1]?.name ?? '');
    return {
      name: output.name,
      channels: output.shape[1] as number,
      ...(layer === undefined ? {} : { layer }),
      ...(given ? { moments: given } : {}),
    };
  });
}

/** The shortest decimal of a float32, which is what somebody wrote: 1e-5, not 0.999999974e-5. */
function asWritten(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}

/** `x [N, C, ...]` as `[N, C, H, W]`, the form that moments are taken of. */
function asImages(g: GraphBuilder, x: Value): Value {
  const [batch, channels, ...inner] = x.shape as [number | string, number, ...number[]];
  const [height = 1, ...rest] = inner;
  return reshape(g, x, [batch, channels, height, rest.reduce((a, b) => a * b, 1)]);
}

function buildNormalization(
  g: GraphBuilder,
  { attributes, output }: Node,
  operands: readonly (Value | undefined)[],
  by: NormalizeBy,
): Value {
  const [x, scale, shift] = operands as readonly [Value, Value, Value];
  const { epsilon = 1e-5 } = attributes as OperatorAttributes['BatchNormalization'];
  return g.scope(output.name, () => {
    const images = asImages(g, x);
    const moments = momentsBy(g, by, output.name, images);
    const normal = normalize(g, images, moments, scale, shift, Math.max(asWritten(epsilon), LEAST_EPSILON));
    return reshape(g, normal, x.shape);
  });
}

/**
 * A classifier that was read from a file, up to its features, as a network to train: parameters by the names of the file,
 * which start at its values, in its layers; every BatchNormalization by the moments that who builds it says. The features
 * graph is copied for whatever number of images. Throws {@link CompileError} where a part of the file is not read or is
 * quantized.
 */
export function backboneOfModel(model: SourceModel): Backbone {
  if (model.opaque) {
    throw new CompileError(
      'a network to train: expected a model of which all is read and nothing is quantized; what stays as exported has no gradient',
    );
  }
  const moving = model.parameters.filter(({ moment, blocked }) => !moment && !blocked);
  const graph = model.featureGraph(moving);
  const nodes = nodesOf(graph.outputs.values());
  const normalizations = normalizationsOf(nodes, new Map(moving.map(({ name, layer }) => [name, layer])));
  const parameters = parametersOf(graph, nodes, moving);
  const [imageChannels, height, width] = model.input.shape;
  const imageSize = height === width ? height : [height, width];
  return {
    architecture: 'onnx',
    settings: {
      sha256: createHash('sha256').update(model.file).digest('hex'),
      features: model.features,
      imageChannels,
      imageSize,
    },
    imageShape: model.input.shape,
    features: model.layout.length,
    parameters,
    normalizations,
    layers: [...new Set(parameters.map(({ layer }) => layer))],
    build: (g, images, parameter, by) => {
      const [batch, ...inputs] = graph.inputs as [Value, ...Value[]];
      const bindings = new Map([[batch, images], ...inputs.map((input) => [input, parameter(input.name)] as const)]);
      const outputs = inline(g, graph, bindings, (node, operands) =>
        isNormalization(node) ? buildNormalization(g, node, operands, by) : undefined,
      );
      return outputs.get('features') as Value;
    },
  };
}

function parametersOf(graph: Graph, nodes: readonly Node[], moving: readonly ModelParameter[]): ParameterSpec[] {
  const idle = takenOutByMeans(graph, nodes, isNormalization);
  const inputs = new Map(graph.inputs.map((input) => [input.name, input]));
  const specs = moving.map(({ name, shape, layer, value }): ParameterSpec => {
    const input = inputs.get(name) as Value;
    return {
      name,
      shape,
      layer,
      initializer: { kind: 'given', values: Float32Array.from(value.constant?.data ?? []) },
      channelAxis: channelAxisOf(nodes, input),
      ...(idle.has(input) ? { normalizedAway: true } : {}),
    };
  });
  return layersOfChannels(specs);
}
