import { backboneOf, type RunConfig, taskSettings } from './config.js';
import type { InnerParameter } from './inner-parameters.js';
import { rules } from './rules.js';
import type { TrainingState } from './state.js';
import { centresChannels, innerParameters } from './task-graph.js';

/** A parameter with the name of the mask that covers it, which others may share. */
export interface MaskedParameter {
  readonly parameter: InnerParameter;
  readonly mask: string;
}

/**
 * The parameters that a run's masks cover, from the image upward; none for rules without masks. Left out are those that
 * normalization takes out again: without a gradient their masks never move, and counting them would flatter figures.
 */
export function maskedParameters(config: RunConfig): MaskedParameter[] {
  const settings = taskSettings(config, config.shots[0] as number);
  const { rule, normalization } = settings;
  if (!rule.mask) return [];
  const specs = centresChannels(normalization) ? backboneOf(config).parameters : [];
  const idle = new Set(specs.filter(({ normalizedAway }) => normalizedAway).map(({ name }) => name));
  return innerParameters(settings).flatMap((parameter) => {
    const learned = rule.moves(parameter) ? rule.learns?.(parameter, settings.innerRate) : undefined;
    return learned && !idle.has(parameter.name) ? [{ parameter, mask: learned.name }] : [];
  });
}

/** Share of weights that the rule's masks close, by layer, weighted by parameters. Empty for rules without masks. */
export function frozenShare(config: RunConfig, state: TrainingState): Record<string, number> {
  const rule = rules.get(config.rule);
  const counts = new Map<string, { closed: number; all: number }>();
  for (const { parameter, mask } of maskedParameters(config)) {
    const logits = state.parameters.get(mask)?.value;
    if (!logits || !rule?.mask) continue;
    const size = parameter.learnedShape.reduce((a, b) => a * b, 1);
    const closed = rule.mask(logits).reduce((sum, open) => sum + (open ? 0 : 1), 0);
    const count = counts.get(parameter.layer) ?? { closed: 0, all: 0 };
    count.closed += (closed * size) / logits.length;
    count.all += size;
    counts.set(parameter.layer, count);
  }
  return Object.fromEntries([...counts].map(([layer, { closed, all }]) => [layer, closed / all]));
}
