import type { GraphBuilder, Value } from '@whet/compiler';
import type { ParameterSpec } from '@whet/models';

/** A parameter the inner loop sees: its `learned` shape broadcasts to its shape in a task. */
export interface InnerParameter {
  readonly name: string;
  readonly layer: string;
  /** Shape of what the outer loop may learn about it, e.g. `[1, F]` for a head shared by all classes. */
  readonly learnedShape: readonly number[];
}

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
  readonly moves: (parameter: InnerParameter) => boolean;
  /**
   * A learned tensor per moving parameter, such as mask logits, with where it starts at the given inner rate; absent for
   * rules that learn none.
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

/**
 * phi <- phi - a 1[m >= 0] g with a learned logit m per weight (von Oswald et al. 2021, eq. 5); the step function is
 * learned straight through. Logits start normally distributed around 0, so that half of the weights start frozen.
 */
export const sparseMaml: Rule = {
  name: 'sparse-maml',
  moves: () => true,
  learns: ({ name, layer, learnedShape }) => ({
    name: `mask/${name}`,
    shape: learnedShape,
    layer,
    initializer: { kind: 'normal', deviation: 0.1 },
  }),
  mask: (learned) => Uint8Array.from(learned, (logit) => Number(logit >= 0)),
  step: (g, update) => {
    const { value, rate, gradient } = update;
    const learned = learnedOf(update, 'sparse-maml');
    const open = g.apply('Cast', [g.apply('GreaterOrEqual', [learned, g.scalar(0)], {})], { to: 'float32' });
    const mask = g.apply('StraightThrough', [open, learned], {});
    return gradientStep(g, value, rate, g.apply('Mul', [mask, gradient], {}));
  },
};

/**
 * phi <- phi - max(m, 0) g with a learned m per weight and no other rate (von Oswald et al. 2021, eq. 7): what is
 * closed and how fast the rest moves in one. Learned straight through, so that what is closed may open again. Half of
 * the weights start closed, the others at about the inner rate.
 */
export const sparseReluMaml: Rule = {
  name: 'sparse-relu-maml',
  moves: () => true,
  learns: ({ name, layer, learnedShape }, rate) => ({
    name: `mask/${name}`,
    shape: learnedShape,
    layer,
    initializer: { kind: 'normal', deviation: rate },
  }),
  mask: (learned) => Uint8Array.from(learned, (logit) => Number(logit > 0)),
  rates: (learned) => learned.map((logit) => Math.max(logit, 0)),
  step: (g, update) => {
    const learned = learnedOf(update, 'sparse-relu-maml');
    const rates = g.apply('StraightThrough', [g.apply('Relu', [learned], {}), learned], {});
    return gradientStep(g, update.value, rates, update.gradient);
  },
};

export const rules: ReadonlyMap<string, Rule> = new Map(
  [maml, anil, boil, metaSgd, sparseMaml, sparseReluMaml].map((rule) => [rule.name, rule]),
);
