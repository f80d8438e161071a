import {
  type Graph,
  type GraphBuilder,
  gradients,
  isStatic,
  makeTensor,
  reshape,
  sizeOf,
  staticShape,
  type Value,
} from '@whet/compiler';
import { crossEntropy, type HeadWeights, headLogits } from '@whet/models';
import { nextName, stateName } from '@whet/runtime/format';
import { optimizers } from './optimizers.js';
import type { PatternSource } from './pattern-source.js';
import type { RestOfNetwork } from './split-network.js';

/** A head's `weight [W, F]` and `bias [W]`, as inputs of a graph. */
export const headInputs = (g: GraphBuilder, featureLength: number): HeadWeights => ({
  weight: g.input('head.weight', ['W', featureLength]),
  bias: g.input('head.bias', ['W']),
});

/**
 * All entries in one row: onnxruntime takes 8 times as long to multiply by a scalar where the last axes are of length 1, as in the
 * weights of a 1x1 convolution.
 */
const flat = (g: GraphBuilder, value: Value): Value =>
  value.shape.length > 1 && isStatic(value.shape) ? reshape(g, value, [sizeOf(value.shape)]) : value;

/** A direction times each entry's multiple of the rate. The head's frozen entries are the task's own, and stored all the same. */
function scaleByRates(g: GraphBuilder, direction: Value, rates: Float32Array | undefined): Value {
  if (!rates || rates.every((rate) => rate === 1)) return direction;
  const whole = isStatic(direction.shape) && sizeOf(direction.shape) === rates.length;
  const shape = whole ? staticShape(direction) : [rates.length];
  return g.apply('Mul', [direction, g.constant(makeTensor(shape, rates))], {});
}

/** A direction, and what leads back to where the value started: `direction + by (value - start)` (L2-SP, Li et al. 2018, decoupled). */
function addDecay(g: GraphBuilder, direction: Value, value: Value, name: string, decay: PatternSource['decay']): Value {
  const start = decay?.starts.get(name);
  if (!decay || !start) return direction;
  const from = g.constant(makeTensor(staticShape(value), start), name);
  const away = g.apply('Sub', [value, from], {});
  return g.apply('Add', [direction, g.apply('Mul', [away, g.scalar(decay.by)], {})], {});
}

/** What a step differentiates: the loss, what moves by it, and the inputs that it reads besides. */
function objectiveOf(g: GraphBuilder, source: PatternSource, { output, values }: RestOfNetwork, labels: Value) {
  const { smoothing = 0 } = source;
  if (source.objective === 'prototypes') {
    if (!source.leaveOneOut) throw new Error('the objective "prototypes" needs a head that is made of the examples');
    const support = g.input('support', ['N']);
    const queries = g.input('queries', ['N']);
    const logits = source.leaveOneOut(g, output, labels, support);
    return {
      loss: crossEntropy(g, logits, labels, { weights: queries, smoothing }),
      values,
      reads: [support, queries],
    };
  }
  const head = headInputs(g, source.featureLength);
  const loss = crossEntropy(g, headLogits(g, output, head), labels, { smoothing });
  return { loss, values: new Map(values).set('head.weight', head.weight).set('head.bias', head.bias), reads: [] };
}

/** From `features`, `labels`, `rate`, values and the optimizer's states to those after a step, and the loss before it. */
export function stepGraph(g: GraphBuilder, source: PatternSource, rest: RestOfNetwork): Graph {
  const labels = g.input('labels', ['N', 'W']);
  const rate = g.input('rate', []);
  const { loss, values, reads } = objectiveOf(g, source, rest, labels);
  const stays = (name: string) => source.rates?.get(name)?.every((multiple) => multiple === 0) ?? false;
  const moving = [...values.keys()].filter((name) => !stays(name));
  const found = gradients(
    g,
    loss,
    moving.map((name) => values.get(name) as Value),
  );
  const outputs = new Map<string, Value>([['loss', loss]]);
  const optimizer = optimizers[source.optimizer ?? 'sgd'];
  const count = optimizer.counts ? [g.input('count', [])] : [];
  const inputs = [rest.features, labels, rate, ...reads, ...count, ...values.values()];
  const gradientOf = new Map(moving.map((name, i) => [name, found[i]]));
  for (const [name, value] of values) {
    const gradient = gradientOf.get(name);
    if (!gradient && !stays(name)) throw new Error(`the loss does not depend on "${name}"`);
    const states = optimizer.states.map((state) => g.input(stateName(name, state), value.shape));
    inputs.push(...states);
    // What stays has no gradient, but every step has the input `rate`, and every value its states.
    const from = flat(g, value);
    const { direction, next } = gradient
      ? optimizer.direct(
          g,
          flat(g, gradient),
          states.map((state) => flat(g, state)),
          count[0],
        )
      : { direction: g.scalar(0), next: states.map((state) => g.apply('Mul', [flat(g, state), g.scalar(1)], {})) };
    const decayed = gradient ? addDecay(g, direction, from, name, source.decay) : direction;
    const scaled = gradient ? scaleByRates(g, decayed, source.rates?.get(name)) : direction;
    const moved = g.apply('Sub', [from, g.apply('Mul', [rate, scaled], {})], {});
    outputs.set(nextName(name), reshape(g, moved, value.shape));
    optimizer.states.forEach((state, i) => {
      outputs.set(nextName(stateName(name, state)), reshape(g, next[i] as Value, value.shape));
    });
  }
  return { name: 'step', inputs, outputs };
}
