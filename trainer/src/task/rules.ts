import { type GraphBuilder, reshape, type Value } from '@whet/compiler';
import type { Initializer, ParameterSpec } from '@whet/models';
import type { InnerParameter } from './inner-parameters.js';

export interface InnerUpdate {
  readonly parameter: InnerParameter;
  readonly value: Value;
  /** Gradient of the support loss; under first order already a constant for the outer gradient. */
  readonly gradient: Value;
  /** Inner learning rate, a scalar. */
  readonly rate: Value;
  /** What the rule learns for this parameter, if it learns anything. */
  readonly learned: Value | undefined;
}

/** Which weights an inner step moves and how far. A rule is a value: the trainer does not ask for its name. */
export interface Rule {
  readonly name: string;
  readonly moves: (parameter: Pick<InnerParameter, 'layer'>) => boolean;
  /**
   * What is learned about a moving parameter, such as mask logits, with where it starts at the given inner rate;
   * parameters with a tensor of one name share it. Absent for rules that learn none.
   */
  readonly learns?: (parameter: InnerParameter, rate: number) => ParameterSpec;
  /** The entries a learned tensor leaves open, as 1 and 0; for sparsity figures and for export. */
  readonly mask?: (learned: Float32Array) => Uint8Array;
  /** The inner rate of each entry that a learned tensor stands for, where it is no common one; for export. */
  readonly rates?: (learned: Float32Array) => Float32Array;
  readonly step: (g: GraphBuilder, update: InnerUpdate) => Value;
}

const gradientStep = (g: GraphBuilder, value: Value, rate: Value, direction: Value): Value =>
  g.apply('Sub', [value, g.apply('Mul', [rate, direction], {})], {});

/** All weights move: phi <- phi - a g (Finn et al. 2017, eq. 1). */
export const maml: Rule = {
  name: 'maml',
  moves: () => true,
  step: (g, { value, rate, gradient }) => gradientStep(g, value, rate, gradient),
};

/** Only the head moves (Raghu et al. 2020). */
export const anil: Rule = { ...maml, name: 'anil', moves: ({ layer }) => layer === 'head' };

/** Only the body moves; the head stays where it starts (Oh et al. 2021). */
export const boil: Rule = { ...maml, name: 'boil', moves: ({ layer }) => layer !== 'head' };

const learnedOf = ({ parameter, learned }: InnerUpdate, rule: string): Value => {
  if (!learned) throw new Error(`${rule}: nothing is learned about "${parameter.name}"`);
  return learned;
};

/** phi <- phi - A g with a learned rate per weight, of any sign (Li et al. 2017, eq. 2). Rates start at the inner rate. */
export const metaSgd: Rule = {
  name: 'meta-sgd',
  moves: () => true,
  learns: ({ name, layer, learnedShape }, rate) => ({
    name: `rate/${name}`,
    shape: learnedShape,
    layer,
    initializer: { kind: 'constant', value: rate },
  }),
  rates: (learned) => learned.slice(),
  step: (g, update) => gradientStep(g, update.value, learnedOf(update, 'meta-sgd'), update.gradient),
};

/** The mask of a parameter. One logit for a whole layer starts open, as few draws would decide by chance what is frozen. */
const maskSpec = ({ layer, mask }: InnerParameter, deviation: number): ParameterSpec => {
  const value: Initializer =
    mask.granularity === 'layer' ? { kind: 'constant', value: deviation } : { kind: 'normal', deviation };
  return { name: `mask/${mask.name}`, shape: mask.shape, layer, initializer: value };
};

/** The logits of a parameter's mask, in a shape that broadcasts to it. */
const logitsOf = (g: GraphBuilder, update: InnerUpdate, rule: string): Value =>
  reshape(g, learnedOf(update, rule), update.parameter.mask.broadcast);

/**
 * phi <- phi - a 1[m >= 0] g with a learned logit m per weight (von Oswald et al. 2021, eq. 5), or per channel or layer;
 * the step function is learned straight through, so that a shared logit has the sum of what its weights would give it.
 * Logits start normally distributed around 0, so that half of the weights start frozen.
 */
export const sparseMaml: Rule = {
  name: 'sparse-maml',
  moves: () => true,
  learns: (parameter) => maskSpec(parameter, 0.1),
  mask: (learned) => Uint8Array.from(learned, (logit) => Number(logit >= 0)),
  step: (g, update) => {
    const { value, rate, gradient } = update;
    const logits = logitsOf(g, update, 'sparse-maml');
    const open = g.apply('Cast', [g.apply('GreaterOrEqual', [logits, g.scalar(0)], {})], { to: 'float32' });
    const mask = g.apply('StraightThrough', [open, logits], {});
    return gradientStep(g, value, rate, g.apply('Mul', [mask, gradient], {}));
  },
};

/**
 * phi <- phi - max(m, 0) g with a learned m per weight, channel or layer and no other rate (von Oswald et al. 2021,
 * eq. 7): what is closed and how fast the rest moves in one. Learned straight through, so that what is closed may open again. Half of
 * the weights start closed, the others at about the inner rate.
 */
export const sparseReluMaml: Rule = {
  name: 'sparse-relu-maml',
  moves: () => true,
  learns: maskSpec,
  mask: (learned) => Uint8Array.from(learned, (logit) => Number(logit > 0)),
  rates: (learned) => learned.map((logit) => Math.max(logit, 0)),
  step: (g, update) => {
    const logits = logitsOf(g, update, 'sparse-relu-maml');
    const rates = g.apply('StraightThrough', [g.apply('Relu', [logits], {}), logits], {});
    return gradientStep(g, update.value, rates, update.gradient);
  },
};

export const rules: ReadonlyMap<string, Rule> = new Map(
  [maml, anil, boil, metaSgd, sparseMaml, sparseReluMaml].map((rule) => [rule.name, rule]),
);
