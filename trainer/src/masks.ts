import { backboneOf, type RunConfig } from './config.js';
import { rules } from './rules.js';
import { allSpecs, type TrainingState } from './state.js';
import { centresChannels } from './task-graph.js';

/** Which entries of a weight the rule's mask leaves open. */
export interface WeightMask {
  /** Of the weight: `conv2.weight`. */
  readonly name: string;
  readonly layer: string;
  readonly shape: readonly number[];
  /** 1 for each entry that moves, 0 for each that stays. */
  readonly open: Uint8Array;
}

/** The masks that a rule has learned, from the image upward. None for rules without masks. */
export function masksOf(config: RunConfig, state: TrainingState): WeightMask[] {
  const rule = rules.get(config.rule);
  const { learns, mask } = rule ?? {};
  if (!learns || !mask) return [];
  const specs = new Map(backboneOf(config).parameters.map((spec) => [spec.name, spec]));
  return allSpecs(config).flatMap(({ name: learned, shape }) => {
    const value = state.parameters.get(learned)?.value;
    if (!learned.startsWith('mask/') || !value) return [];
    const name = learned.slice('mask/'.length);
    const spec = specs.get(name);
    // Without a gradient its mask never moves; counting it would flatter the figure.
    if (spec?.normalizedAway && centresChannels(config.normalization)) return [];
    return [{ name, layer: spec?.layer ?? 'head', shape, open: mask(value) }];
  });
}

/** Share of weights that the rule's masks close, by layer, weighted by parameters. Empty for rules without masks. */
export function frozenShare(config: RunConfig, state: TrainingState): Record<string, number> {
  const counts = new Map<string, { closed: number; all: number }>();
  for (const { layer, open } of masksOf(config, state)) {
    const count = counts.get(layer) ?? { closed: 0, all: 0 };
    for (const each of open) count.closed += each ? 0 : 1;
    count.all += open.length;
    counts.set(layer, count);
  }
  return Object.fromEntries([...counts].map(([layer, { closed, all }]) => [layer, closed / all]));
}
