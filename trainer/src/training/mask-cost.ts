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

/** Masks of a layer with how many of its parameters each covers, and what it costs. */
export interface LayerMasks {
  /** What it costs as far as its own parameters move. */
  readonly own: number;
  /** What it costs where it or anything below moves. */
  readonly reached: number;
  readonly masks: ReadonlyMap<string, number>;
  readonly parameters: number;
}

/**
 * What multiply-adds of layers, from the image upward, cost in a step: of a layer its weight gradient as far as its own parameters move; where
 * it or anything below does, its forward pass and the gradient of the next one's input.
 */
export const computed = (costs: readonly number[]): Pick<LayerMasks, 'own' | 'reached'>[] =>
  costs.map((cost, k) => ({ own: cost, reached: cost + (costs[k + 1] ?? 0) }));

function layersOf(config: RunConfig, backbone: Backbone | undefined): LayerMasks[] {
  const covered = maskedParameters(config, backbone);
  const costs = layerCosts(config, backbone);
  const paid = computed([...costs.values()]);
  return [...costs.keys()].map((layer, k) => {
    const masks = new Map<string, number>();
    for (const { parameter, mask } of covered) {
      if (parameter.layer !== layer) continue;
      const size = parameter.learnedShape.reduce((a, b) => a * b, 1);
      masks.set(mask, (masks.get(mask) ?? 0) + size);
    }
    return {
      ...(paid[k] as (typeof paid)[number]),
      masks,
      parameters: [...masks.values()].reduce((a, b) => a + b, 0),
    };
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
 * Lowers what an inner step costs, as a share of a step in which all moves. With `o` what a layer costs as far as it moves, `r` what it costs
 * where it or anything below moves, `s` the open share of its parameters, `a` that of its most open mask, and layers counted from the image:
 *
 *     C = sum_k (o_k s_k + r_k P_k) / sum_k (o_k + r_k),   P_k = 1 - prod_{j <= k} (1 - a_j)
 *
 * With f the multiply-adds of a layer, o_k = f_k and r_k = f_k + f_{k+1} ({@link computed}): the weight gradient is paid for what is open, the
 * forward pass of a layer and the gradient of its input only where it or anything below moves, as a frozen prefix is cached. So closing a layer
 * pays as far as those below it are closed, and layers close from the image upward. The shares are those of the hard masks; their gradient goes straight through to
 * each logit, and fades below 0 (by a sigmoid), so that what is closed stays within reach of the loss. All masks of a
 * layer are pushed as the most open one is, because a layer is frozen when all of them are closed.
 */
export function penaltyOf(
  weight: number,
  layers: readonly LayerMasks[],
  mask: (learned: Float32Array) => Uint8Array,
): MaskPenalty {
  const whole = layers.reduce((sum, { own, reached }) => sum + own + reached, 0);
  return (state, gradients) => {
    const logitsOf = (name: string) => state.parameters.get(name)?.value ?? new Float32Array();
    const openShare = (name: string) => mask(logitsOf(name)).reduce((a, b) => a + b, 0) / logitsOf(name).length;
    const open = layers.map(({ masks }) => Math.max(0, ...[...masks.keys()].map(openShare)));
    layers.forEach(({ own, masks, parameters }, k) => {
      // dC / da_k: what moves layer k moves all above it, unless they would move anyway.
      let others = open.slice(0, k).reduce((product, share) => product * (1 - share), 1);
      let reach = 0;
      for (let j = k; j < layers.length; j++) {
        if (j > k) others *= 1 - (open[j] as number);
        reach += others * (layers[j] as LayerMasks).reached;
      }
      for (const [name, covers] of masks) {
        const sum = gradients.get(name);
        const logits = logitsOf(name);
        const slope = (weight * (own * (covers / parameters) + reach)) / whole / logits.length;
        logits.forEach((logit, i) => {
          if (sum) sum[i] = (sum[i] as number) + slope * pushOf(logit);
        });
      }
    });
  };
}
