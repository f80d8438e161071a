import { type Graph, GraphBuilder, graphCost, nodesOf, type Value } from '@whet/compiler';
import { type Backbone, headLogits } from '@whet/models';
import { backboneOf, type RunConfig } from './config.js';
import { maskedParameters } from './masks.js';
import type { TrainingState } from './state.js';

/** Below -SOFTNESS or so, a closed logit is hardly pushed any further; about the deviation that logits start with. */
const SOFTNESS = 0.1;

/**
 * Multiply-adds of each layer's products for one image, from the image upward to the head. The gradients of a
 * convolution's or matrix product's weight and of its input take as many each.
 */
export function layerCosts(config: RunConfig, given?: Backbone): Map<string, number> {
  const backbone = backboneOf(config, given);
  const g = new GraphBuilder();
  const layers = [...backbone.layers, 'head'];
  /** Of the highest parameter that a value depends on. */
  const layerOf = new Map<Value, number>();
  const input = (name: string, shape: readonly number[], layer: string): Value => {
    const value = g.input(name, shape);
    layerOf.set(value, layers.indexOf(layer));
    return value;
  };
  const parameters = new Map(
    backbone.parameters.map(({ name, shape, layer }) => [name, input(name, shape, layer)] as const),
  );
  const images = g.input('images', [1, ...backbone.imageShape]);
  const read = (name: string) => parameters.get(name) as Value;
  const features = backbone.build(g, images, read, 'image');
  const weight = input('head.weight', [config.ways, backbone.features], 'head');
  const logits = headLogits(g, features, { weight, bias: input('head.bias', [config.ways], 'head') });

  const costUpTo = (values: readonly (Value | undefined)[]): number => {
    const outputs = values.flatMap((value, i) => (value ? [[`${i}`, value] as const] : []));
    const graph: Graph = { name: 'layers', inputs: [], outputs: new Map(outputs) };
    return graphCost(graph).multiplyAdds;
  };
  const costs = layers.map(() => 0);
  for (const { inputs, output } of nodesOf([logits])) {
    const layer = Math.max(-1, ...inputs.map((value) => (value && layerOf.get(value)) ?? -1));
    layerOf.set(output, layer);
    if (layer >= 0) costs[layer] = (costs[layer] as number) + costUpTo([output]) - costUpTo(inputs);
  }
  return new Map(layers.map((layer, i) => [layer, costs[i] as number]));
}

/** Masks of a layer with how many of its parameters each covers. */
export interface LayerMasks {
  /** Multiply-adds of its products for one image. */
  readonly cost: number;
  readonly masks: ReadonlyMap<string, number>;
  readonly parameters: number;
}

function layersOf(config: RunConfig, backbone: Backbone | undefined): LayerMasks[] {
  const covered = maskedParameters(config, backbone);
  return [...layerCosts(config, backbone)].map(([layer, cost]) => {
    const masks = new Map<string, number>();
    for (const { parameter, mask } of covered) {
      if (parameter.layer !== layer) continue;
      const size = parameter.learnedShape.reduce((a, b) => a * b, 1);
      masks.set(mask, (masks.get(mask) ?? 0) + size);
    }
    return { cost, masks, parameters: [...masks.values()].reduce((a, b) => a + b, 0) };
  });
}

/** Adds the penalty's gradient to those of the outer loss, by the names of the masks. */
export type MaskPenalty = (
  state: Pick<TrainingState, 'parameters'>,
  gradients: ReadonlyMap<string, Float32Array>,
) => void;

/** What a closed logit is still pushed by, as a share of what an open one is: what is closed stays within reach of the loss. */
export const pushOf = (logit: number): number => 1 / (1 + Math.exp(-logit / SOFTNESS));

/** {@link penaltyOf} of a run's layers, by its settings' `maskCost`. Undefined where they have none. */
export function maskPenalty(
  config: RunConfig,
  mask: (learned: Float32Array) => Uint8Array,
  backbone?: Backbone,
): MaskPenalty | undefined {
  return config.maskCost && penaltyOf(config.maskCost.weight, layersOf(config, backbone), mask);
}

/**
 * Lowers what an inner step costs, as a share of a step in which all moves. With f the multiply-adds of a layer, `s` the
 * open share of its parameters, `a` that of its most open mask, and layers counted from the image:
 *
 *     C = sum_k f_k (s_k + P_k + P_{k-1}) / sum_k f_k (2 + [k > 1]),   P_k = 1 - prod_{j <= k} (1 - a_j),  P_0 = 0
 *
 * The weight gradient is paid for what is open, the forward pass of a layer and the gradient of its input only where it
 * or anything below moves: a frozen prefix is cached. So closing a layer pays as far as those below it are closed, and
 * layers close from the image upward. The shares are those of the hard masks; their gradient goes straight through to
 * each logit, and fades below 0 (by a sigmoid), so that what is closed stays within reach of the loss. All masks of a
 * layer are pushed as the most open one is, because a layer is frozen when all of them are closed.
 */
export function penaltyOf(
  weight: number,
  layers: readonly LayerMasks[],
  mask: (learned: Float32Array) => Uint8Array,
): MaskPenalty {
  const whole = layers.reduce((sum, { cost }, k) => sum + cost * (k > 0 ? 3 : 2), 0);
  return (state, gradients) => {
    const logitsOf = (name: string) => state.parameters.get(name)?.value ?? new Float32Array();
    const openShare = (name: string) => mask(logitsOf(name)).reduce((a, b) => a + b, 0) / logitsOf(name).length;
    const open = layers.map(({ masks }) => Math.max(0, ...[...masks.keys()].map(openShare)));
    layers.forEach(({ cost, masks, parameters }, k) => {
      // dC / da_k: what moves layer k moves all above it, unless they would move anyway.
      let others = open.slice(0, k).reduce((product, share) => product * (1 - share), 1);
      let reach = 0;
      for (let j = k; j < layers.length; j++) {
        if (j > k) others *= 1 - (open[j] as number);
        reach += others * ((layers[j] as LayerMasks).cost + (layers[j + 1]?.cost ?? 0));
      }
      for (const [name, covers] of masks) {
        const sum = gradients.get(name);
        const logits = logitsOf(name);
        const slope = (weight * (cost * (covers / parameters) + reach)) / whole / logits.length;
        logits.forEach((logit, i) => {
          if (sum) sum[i] = (sum[i] as number) + slope * pushOf(logit);
        });
      }
    });
  };
}
