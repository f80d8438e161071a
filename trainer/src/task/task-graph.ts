import type { Value } from '@whet/compiler';
import { GraphBuilder, gradients, reshape } from '@whet/compiler';
import type { Backbone, HeadKind, Moments, ParameterSpec } from '@whet/models';
import {
  cosineHead,
  crossEntropy,
  type HeadWeights,
  headFeatures,
  headLogits,
  headParameters,
  prototypeHead,
  sharedHead,
} from '@whet/models';
import { momentNames } from '@whet/runtime/format';
import { type InnerParameter, innerParametersOf, type MaskGranularity } from './inner-parameters.js';
import type { ForwardPass, MomentMap, NormalizationMode } from './normalizations.js';
import type { Rule } from './rules.js';
import { type LabelledImages, type StreamSettings, stagesOf } from './stages.js';

/** `stages` and `remember` are 1 and 0 when absent: all classes at once. */
export interface TaskSettings extends Partial<StreamSettings> {
  readonly backbone: Backbone;
  readonly head: HeadKind;
  readonly rule: Rule;
  /** 1: the inner gradient is a constant for the outer gradient; 2: it is differentiated. */
  readonly order: 1 | 2;
  readonly normalization: NormalizationMode;
  readonly ways: number;
  readonly shots: number;
  readonly queries: number;
  readonly steps: number;
  readonly innerRate: number;
  /** The query loss after every inner step counts, by the input `stepWeights [steps]` (Antoniou et al. 2019, eq. 3). */
  readonly stepLosses?: boolean;
  /** What one mask logit stands for, under rules that learn masks; a weight when absent. */
  readonly maskGranularity?: MaskGranularity;
}

/** What the outer loop learns: the start of every weight, and what the rule learns about it. */
export interface MetaParameters {
  readonly start: readonly ParameterSpec[];
  readonly learned: readonly ParameterSpec[];
}

/** What inner steps may move, from the image upward. */
export function innerParameters(settings: TaskSettings): InnerParameter[] {
  const { backbone, head, ways, maskGranularity } = settings;
  const headSpecs = headParameters(head === 'fixed' ? 'fixed' : 'shared', backbone.features, ways);
  return innerParametersOf([...backbone.parameters, ...headSpecs], maskGranularity ?? 'weight');
}

export function metaParameters(settings: TaskSettings): MetaParameters {
  const { backbone, head, rule, ways } = settings;
  const { learns } = rule;
  const moving = learns ? innerParameters(settings).filter(rule.moves) : [];
  const learned = moving.flatMap((parameter) => learns?.(parameter, settings.innerRate) ?? []);
  return {
    start: [...backbone.parameters, ...headParameters(head, backbone.features, ways)],
    learned: [...new Map(learned.map((spec) => [spec.name, spec])).values()],
  };
}

/** The values of one task's graph: adaptation on the support set, then the query set. */
export interface TaskValues {
  readonly inputs: readonly Value[];
  /** Meta-parameters by name. */
  readonly meta: ReadonlyMap<string, Value>;
  /** Support loss before each inner step, of one stage after the other. */
  readonly supportLosses: readonly Value[];
  /** Every inner parameter after the last step. */
  readonly adapted: ReadonlyMap<string, Value>;
  /** `[ways * queries, ways]` */
  readonly queryLogits: Value;
  /** After the last inner step. */
  readonly queryLoss: Value;
  /**
   * What the outer loop lowers: the query loss; with `stepLosses` those after each inner step, weighted; in stages the mean of those
   * after each, of all classes so far (as Javed & White 2019 and Gupta et al. 2020 do).
   */
  readonly outerLoss: Value;
  /** The last stage's support set's moments at the adapted weights, by normalization. */
  readonly supportMoments: MomentMap;
  readonly builder: GraphBuilder;
}

/** Input that weights the query losses after each inner step, where they count. */
export const STEP_WEIGHTS = 'stepWeights';

/**
 * Builds adaptation and query loss of one task. Graph inputs: `support [ways * shots, C, H, W]`, `supportLabels` and
 * `queryLabels` one-hot, `query [ways * queries, C, H, W]`, the meta-parameters, and the moments that a mode takes of training.
 * Of several stages each goes on from the weights of the one before, with head rows of the classes that arrive beside the known ones, as a
 * profile does.
 */
export function buildTask(settings: TaskSettings): TaskValues {
  const { backbone, rule, order, normalization, ways, steps } = settings;
  const g = new GraphBuilder();
  const labelled = (images: string, labels: string, count: number): LabelledImages => ({
    images: g.input(images, [count, ...backbone.imageShape]),
    labels: g.input(labels, [count, ways]),
  });
  const support = labelled('support', 'supportLabels', ways * settings.shots);
  const query = labelled('query', 'queryLabels', ways * settings.queries);
  const specs = metaParameters(settings);
  const meta = new Map([...specs.start, ...specs.learned].map(({ name, shape }) => [name, g.input(name, shape)]));
  const population = new Map<string, Moments>();
  if (normalization.takesPopulation) {
    for (const { name, channels } of backbone.normalizations) {
      const inputs = momentNames(name);
      const mean = g.input(inputs.mean, [1, channels, 1, 1]);
      population.set(name, { mean, variance: g.input(inputs.variance, [1, channels, 1, 1]) });
    }
  }
  const inputs = [support.images, support.labels, query.images, query.labels, ...meta.values()];
  for (const { mean, variance } of population.values()) inputs.push(mean, variance);
  const bodyMoves =
    steps > 0 && innerParameters(settings).some((parameter) => rule.moves(parameter) && parameter.layer !== 'head');
  const rate = g.scalar(settings.innerRate);

  let phi: Map<string, Value> = new Map(backbone.parameters.map(({ name }) => [name, read(meta, name)]));
  const supportLosses: Value[] = [];
  const earlier: Value[] = [];
  const stages = stagesOf(g, settings, support, query).map((stage) => {
    const pass = (images: Value): ForwardPass => ({ g, backbone, images, parameters: phi, population });
    const supportPass = () =>
      g.scope(`support@${supportLosses.length}`, () => {
        const found = normalization.support(pass(stage.support.images));
        return { ...found, features: headFeatures(g, settings.head, found.features) };
      });
    const queryNow = (observed: MomentMap) => {
      const features = normalization.query({ ...pass(stage.query.images), support: observed, bodyMoves });
      return headLogits(g, headFeatures(g, settings.head, features), headOf(phi));
    };
    let current = supportPass();
    const start = startHead(g, settings, meta, current.features, stage.arriving);
    for (const [name, rows] of Object.entries({ 'head.weight': start.weight, 'head.bias': start.bias })) {
      const known = phi.get(name);
      phi.set(name, known ? g.apply('Concat', [known, rows], { axis: 0 }) : rows);
    }
    for (let step = 0; step < steps; step++) {
      if (step > 0) current = supportPass();
      if (step > 0 && settings.stepLosses) {
        const observed = current.moments ?? new Map();
        earlier.push(g.scope(`query@${step}`, () => crossEntropy(g, queryNow(observed), stage.query.labels)));
      }
      const loss = crossEntropy(g, headLogits(g, current.features, headOf(phi)), stage.support.labels);
      supportLosses.push(loss);
      const number = supportLosses.length;
      phi = g.scope(`step@${number}`, () => innerStep(g, settings, rule, order, loss, phi, rate, meta));
    }
    const moments = momentsAfter();
    const logits = g.scope('query', () => queryNow(moments));
    return { moments, logits, loss: crossEntropy(g, logits, stage.query.labels) };

    /** The support set's moments, in a last pass where weights have moved since the one before. */
    function momentsAfter(): MomentMap {
      if (!normalization.observe) return new Map();
      if (steps === 0 && current.moments) return current.moments;
      const { observe } = normalization;
      return g.scope(`support@${supportLosses.length}`, () => observe(pass(stage.support.images)));
    }
  });
  const last = stages.at(-1) as (typeof stages)[number];
  let outerLoss = meanOf(
    g,
    stages.map(({ loss }) => loss),
  );
  if (settings.stepLosses && steps > 0) {
    const weights = g.input(STEP_WEIGHTS, [steps]);
    inputs.push(weights);
    const losses = [...earlier, last.loss].map((loss) => reshape(g, loss, [1]));
    const weighted = g.apply('Mul', [g.apply('Concat', losses, { axis: 0 }), weights], {});
    outerLoss = g.apply('ReduceSum', [weighted], { keepdims: 0 });
  }
  return {
    inputs,
    meta,
    supportLosses,
    adapted: phi,
    queryLogits: last.logits,
    queryLoss: last.loss,
    outerLoss,
    supportMoments: last.moments,
    builder: g,
  };
}

/** The mean of scalars. */
function meanOf(g: GraphBuilder, values: readonly Value[]): Value {
  const [first, ...others] = values as [Value, ...Value[]];
  if (others.length === 0) return first;
  const sum = others.reduce((a, b) => g.apply('Add', [a, b], {}), first);
  return g.apply('Mul', [sum, g.scalar(1 / values.length)], {});
}

function read(values: ReadonlyMap<string, Value>, name: string): Value {
  const value = values.get(name);
  if (!value) throw new Error(`no parameter "${name}"`);
  return value;
}

const headOf = (phi: ReadonlyMap<string, Value>): HeadWeights => ({
  weight: read(phi, 'head.weight'),
  bias: read(phi, 'head.bias'),
});

function startHead(
  g: GraphBuilder,
  { head }: TaskSettings,
  meta: ReadonlyMap<string, Value>,
  features: Value,
  labels: Value,
): HeadWeights {
  if (head === 'prototype') return prototypeHead(g, features, labels, read(meta, 'head.scale'));
  if (head === 'cosine') return cosineHead(g, features, labels, read(meta, 'head.scale'));
  return head === 'shared' ? sharedHead(g, headOf(meta), labels) : headOf(meta);
}

function innerStep(
  g: GraphBuilder,
  settings: TaskSettings,
  rule: Rule,
  order: 1 | 2,
  loss: Value,
  phi: ReadonlyMap<string, Value>,
  rate: Value,
  meta: ReadonlyMap<string, Value>,
): Map<string, Value> {
  const moving = innerParameters(settings).filter(rule.moves);
  const inner = gradients(
    g,
    loss,
    moving.map(({ name }) => read(phi, name)),
  );
  const next = new Map(phi);
  moving.forEach((parameter, i) => {
    const gradient = inner[i];
    if (!gradient) return;
    const learned = rule.learns && read(meta, rule.learns(parameter, settings.innerRate).name);
    next.set(
      parameter.name,
      rule.step(g, {
        parameter,
        value: read(phi, parameter.name),
        gradient: order === 1 ? g.apply('StopGradient', [gradient], {}) : gradient,
        rate,
        learned,
      }),
    );
  });
  return next;
}
