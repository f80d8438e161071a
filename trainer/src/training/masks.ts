import type { Backbone } from '@whet/models';
import { expandLearned, type InnerParameter } from '../task/inner-parameters.js';
import { rules } from '../task/rules.js';
import { innerParameters } from '../task/task-graph.js';
import { type RunConfig, taskSettings } from './config.js';
import type { TrainingState } from './state.js';

/** A parameter with the name of the mask that covers it, which others may share. */
export interface MaskedParameter {
  readonly parameter: InnerParameter;
  readonly mask: string;
}

/**
 * The parameters that a run's masks cover, from the image upward; none for rules without masks. Left out are those that
 * normalization takes out again: without a gradient their masks never move, and counting them would flatter figures.
 */
export function maskedParameters(config: RunConfig, given?: Backbone): MaskedParameter[] {
  const settings = taskSettings(config, config.shots[0] as number, given);
  const { backbone, rule, normalization } = settings;
  if (!rule.mask) return [];
  const specs = normalization.centresChannels ? backbone.parameters : [];
  const idle = new Set(specs.filter(({ normalizedAway }) => normalizedAway).map(({ name }) => name));
  return innerParameters(settings).flatMap((parameter) => {
    const learned = rule.moves(parameter) ? rule.learns?.(parameter, settings.innerRate) : undefined;
    return learned && !idle.has(parameter.name) ? [{ parameter, mask: learned.name }] : [];
  });
}

/** Which entries of a weight the rule's mask leaves open. */
export interface WeightMask {
  /** Of the weight: `conv2.weight`. */
  readonly name: string;
  readonly layer: string;
  readonly shape: readonly number[];
  /** 1 for each entry that moves, 0 for each that stays. */
  readonly open: Uint8Array;
}

/** The masks that a rule has learned, by weight, from the image upward. None for rules without masks. */
export function masksOf(config: RunConfig, state: TrainingState, backbone?: Backbone): WeightMask[] {
  const { mask: openOf } = rules.get(config.rule) ?? {};
  return maskedParameters(config, backbone).flatMap(({ parameter, mask }) => {
    const logits = state.parameters.get(mask)?.value;
    if (!logits || !openOf) return [];
    const { name, layer, learnedShape } = parameter;
    return [{ name, layer, shape: learnedShape, open: expandLearned(openOf(logits), parameter) }];
  });
}

/** Share of weights that the rule's masks close, by layer, weighted by parameters. Empty for rules without masks. */
export function frozenShare(config: RunConfig, state: TrainingState, backbone?: Backbone): Record<string, number> {
  const counts = new Map<string, { closed: number; all: number }>();
  for (const { layer, open } of masksOf(config, state, backbone)) {
    const count = counts.get(layer) ?? { closed: 0, all: 0 };
    for (const each of open) count.closed += each ? 0 : 1;
    count.all += open.length;
    counts.set(layer, count);
  }
  return Object.fromEntries([...counts].map(([layer, { closed, all }]) => [layer, closed / all]));
}
