import { headParameters } from '@whet/models';
import type { Checkpoint } from './checkpoint.js';
import { backboneOf, type RunConfig } from './config.js';
import type { PatternParts, PatternWeight } from './pattern-graphs.js';
import { rules } from './rules.js';

/** A named choice of moving weights, to be compiled into a bundle. */
export interface PatternSpec {
  readonly name: string;
  readonly description: string;
  /** Layers that move whole, or `trained`: the entries that the rule's masks leave open. */
  readonly layers: readonly string[] | 'trained';
  /** Inner steps and rate at adaptation; those of the whole bundle when absent. */
  readonly steps?: number;
  readonly rate?: number;
  /** Runs the frozen prefix in every inner step instead of caching it: only to measure what caching saves. */
  readonly rerunsPrefix?: boolean;
}

/** Layers of the network, from the image upward, the head last: what patterns choose from. */
export function layersOf({ config }: Pick<Checkpoint, 'config'>): string[] {
  return [...backboneOf(config).layers, 'head'];
}

/**
 * The patterns of a network: `full`, one per suffix of its layers (`head`, `from-block4`, ...), and `sparse` where the
 * rule learned masks. A pattern that starts higher caches more of the network.
 */
export function patternsOf(checkpoint: Checkpoint): PatternSpec[] {
  const layers = layersOf(checkpoint);
  const specs: PatternSpec[] = [
    { name: 'full', description: 'All weights move (dense MAML).', layers },
    { name: 'head', description: 'Only the head moves (ANIL); the whole network is cached.', layers: ['head'] },
    ...layers.slice(1, -1).map((layer, i): PatternSpec => {
      const suffix = layers.slice(i + 1);
      return {
        name: `from-${layer}`,
        description: `Moves ${suffix.join(', ')}; what is below is cached.`,
        layers: suffix,
      };
    }),
  ];
  if (rules.get(checkpoint.config.rule)?.mask) {
    const description = 'Moves the weights that meta-training left open (sparse-MAML).';
    specs.push({ name: 'sparse', description, layers: 'trained' });
  }
  return specs;
}

/** Why a run of these settings cannot be exported as it is; nothing where it can. */
export function exportObstacles({ head, normalization, rule }: RunConfig): string[] {
  const obstacles: string[] = [];
  if (head === 'fixed') {
    obstacles.push(
      'a fixed head serves one number of classes and is not exported; expected head "prototype" or "shared"',
    );
  }
  if (normalization === 'transductive') {
    obstacles.push(
      'normalization "transductive" is not exported, as a device predicts one image; expected "support", "population" or "layer"',
    );
  }
  if (rules.get(rule)?.rates) {
    obstacles.push(
      `rule "${rule}" learns a rate for every weight, which bundles do not hold; expected a rule with one rate`,
    );
  }
  return obstacles;
}

/**
 * A pattern in which `layers` move whole. Throws where it is not named as in a manifest, or names no layer or one that
 * the network does not have.
 */
export function layerPattern(
  checkpoint: Pick<Checkpoint, 'config'>,
  name: string,
  layers: readonly string[],
  settings: Pick<PatternSpec, 'steps' | 'rate'> & { readonly description?: string } = {},
): PatternSpec {
  if (!/^[\w.-]+$/.test(name) || name === '.' || name === '..') {
    throw new Error(`pattern name "${name}": expected letters, digits, dots, dashes`);
  }
  const all = layersOf(checkpoint);
  const unknown = layers.filter((layer) => !all.includes(layer));
  if (layers.length === 0 || unknown.length > 0) {
    const got = layers.length === 0 ? 'none' : `"${unknown.join('", "')}"`;
    throw new Error(`pattern "${name}": expected layers of ${all.join(', ')}, got ${got}`);
  }
  const moving = all.filter((layer) => layers.includes(layer));
  return { description: `Moves ${moving.join(', ')}.`, ...settings, name, layers: moving };
}

/** What the graphs of a pattern are built from. Throws where the checkpoint's head or normalization cannot be exported. */
export function patternParts({ config, state }: Checkpoint, spec: PatternSpec): PatternParts {
  const backbone = backboneOf(config);
  const { head, normalization } = config;
  const obstacles = exportObstacles(config);
  if (head === 'fixed' || normalization === 'transductive' || obstacles.length > 0)
    throw new Error(obstacles.join('; '));
  const rule = rules.get(config.rule);
  const trained = (name: string): Float32Array => {
    const parameter = state.parameters.get(name);
    if (!parameter) throw new Error(`the checkpoint has no parameter "${name}"`);
    return parameter.value;
  };
  const maskOf = (name: string, layer: string, size: number): Uint8Array => {
    if (spec.layers !== 'trained') return new Uint8Array(size).fill(Number(spec.layers.includes(layer)));
    if (!rule?.mask) throw new Error(`rule "${config.rule}" learns no masks; pattern "${spec.name}" needs them`);
    return rule.mask(trained(`mask/${name}`));
  };
  const weights = backbone.parameters.map(({ name, shape, layer, normalizedAway }): PatternWeight => {
    const start = trained(name);
    // The support set's own mean takes it out again: nothing would move it.
    if (normalizedAway && normalization === 'support') return { name, shape, start };
    return { name, shape, start, mask: maskOf(name, layer, start.length) };
  });
  const learnedHead = headParameters(head, backbone.features, 1).map(({ name, shape }) => ({
    name,
    shape,
    start: trained(name),
  }));
  return {
    backbone,
    head,
    weights,
    learnedHead,
    headMasks: { weight: maskOf('head.weight', 'head', backbone.features), bias: maskOf('head.bias', 'head', 1) },
    normalization,
    moments: state.moments,
    ...(spec.rerunsPrefix ? { rerunsPrefix: true } : {}),
  };
}

/** Layers in which at least one weight moves, from the image upward. */
export function movingLayers(checkpoint: Checkpoint, parts: PatternParts): string[] {
  const { layers, parameters } = backboneOf(checkpoint.config);
  const open = new Set(parts.weights.filter(({ mask }) => mask?.includes(1)).map(({ name }) => name));
  const moving = layers.filter((layer) =>
    parameters.some((parameter) => parameter.layer === layer && open.has(parameter.name)),
  );
  const headMoves = parts.headMasks.weight.includes(1) || parts.headMasks.bias.includes(1);
  return headMoves ? [...moving, 'head'] : moving;
}
