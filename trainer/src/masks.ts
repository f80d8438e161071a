import { backboneOf, type RunConfig } from './config.js';
import { rules } from './rules.js';
import type { TrainingState } from './state.js';
import { centresChannels } from './task-graph.js';

/** Share of weights that the rule's masks close, by layer, weighted by parameters. Empty for rules without masks. */
export function frozenShare(config: RunConfig, state: TrainingState): Record<string, number> {
  const rule = rules.get(config.rule);
  if (!rule?.learns || !rule.mask) return {};
  const counts = new Map<string, { closed: number; all: number }>();
  const specs = new Map(backboneOf(config).parameters.map((spec) => [spec.name, spec]));
  for (const [name, { value }] of state.parameters) {
    if (!name.startsWith('mask/')) continue;
    const parameter = name.slice('mask/'.length);
    const spec = specs.get(parameter);
    // Without a gradient its mask never moves; counting it would flatter the figure.
    if (spec?.normalizedAway && centresChannels(config.normalization)) continue;
    const layer = spec?.layer ?? 'head';
    const count = counts.get(layer) ?? { closed: 0, all: 0 };
    for (const open of rule.mask(value)) count.closed += open ? 0 : 1;
    count.all += value.length;
    counts.set(layer, count);
  }
  return Object.fromEntries([...counts].map(([layer, { closed, all }]) => [layer, closed / all]));
}
