import { headParameters } from '@whet/models';
import { patternNameProblem } from '../bundle/files.js';
import type { PatternWeight } from '../pattern/masked-weight.js';
import { expandLearned, type InnerParameter } from '../task/inner-parameters.js';
import { normalizations } from '../task/normalizations.js';
import { rules } from '../task/rules.js';
import { innerParameters } from '../task/task-graph.js';
import type { Checkpoint } from '../training/checkpoint.js';
import { backboneOf, type RunConfig, taskSettings } from '../training/config.js';
import type { PatternParts } from './pattern-graphs.js';
import { nearbyViews, type View } from './views.js';

/** A named choice of moving weights, to be compiled into a bundle. */
export interface PatternSpec {
  readonly name: string;
  readonly description: string;
  /** Layers that move whole, or `trained`: the entries that the rule's masks leave open. */
  readonly layers: readonly string[] | 'trained';
  /** Inner steps and rate at adaptation; those of the whole bundle when absent. */
  readonly steps?: number;
  readonly rate?: number;
  /** Features are means over each image and these shifts of it, where the head alone moves. */
  readonly views?: readonly View[];
  /** Runs the frozen prefix in every inner step instead of caching it: only to measure what caching saves. */
  readonly rerunsPrefix?: boolean;
}

/** Layers of the network, from the image upward, the head last: what patterns choose from. */
export function layersOf({ config, backbone }: Pick<Checkpoint, 'config' | 'backbone'>): string[] {
  return [...backboneOf(config, backbone).layers, 'head'];
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
        name: `from-${layer.replace(/[^\w.-]+/g, '-')}`,
        description: `Moves ${suffix.join(', ')}; what is below is cached.`,
        layers: suffix,
      };
    }),
  ];
  const rule = rules.get(checkpoint.config.rule);
  if (rule?.mask) {
    const description = 'Moves the weights that meta-training left open (sparse-MAML).';
    specs.push({ name: 'sparse', description, layers: 'trained' });
  }
  if (!rule?.rates) return specs;
  return specs.map((spec) => ({ ...spec, description: `${spec.description} Each weight moves by a learned rate.` }));
}

/** Why a run of these settings cannot be exported as it is; nothing where it can. */
export function exportObstacles({ head, normalization }: RunConfig): string[] {
  const obstacles: string[] = [];
  if (head === 'fixed') {
    obstacles.push(
      'a fixed head serves one number of classes and is not exported; expected head "prototype" or "shared"',
    );
  }
  const { bundle } = normalizations[normalization];
  if ('obstacle' in bundle) obstacles.push(bundle.obstacle);
  return obstacles;
}

/**
 * A pattern in which `layers` move whole. Throws where it is not named as in a manifest, or names no layer or one that
 * the network does not have.
 */
export function layerPattern(
  checkpoint: Pick<Checkpoint, 'config' | 'backbone'>,
  name: string,
  layers: readonly string[],
  settings: Pick<PatternSpec, 'steps' | 'rate'> & { readonly description?: string } = {},
): PatternSpec {
  const problem = patternNameProblem(name);
  if (problem) throw new Error(problem);
  const all = layersOf(checkpoint);
  const unknown = layers.filter((layer) => !all.includes(layer));
  if (layers.length === 0 || unknown.length > 0) {
    const got = layers.length === 0 ? 'none' : `"${unknown.join('", "')}"`;
    throw new Error(`pattern "${name}": expected layers of ${all.join(', ')}, got ${got}`);
  }
  const moving = all.filter((layer) => layers.includes(layer));
  return { description: `Moves ${moving.join(', ')}.`, ...settings, name, layers: moving };
}

/**
 * The head alone, on features that are means over each image and its {@link nearbyViews}: steadier features, for seven
 * times the encoding.
 */
export const viewsPattern: PatternSpec = {
  name: 'head-views',
  description: 'Only the head moves, on mean features of each image, moved and zoomed a little; the network is cached.',
  layers: ['head'],
  views: nearbyViews,
};

/** What the graphs of a pattern are built from. Throws where the checkpoint's head or normalization cannot be exported. */
export function patternParts({ config, state, ...run }: Checkpoint, spec: PatternSpec): PatternParts {
  const backbone = backboneOf(config, run.backbone);
  const { head } = config;
  const { bundle: normalization, centresChannels } = normalizations[config.normalization];
  if (head === 'fixed' || 'obstacle' in normalization) throw new Error(exportObstacles(config).join('; '));
  const { views } = spec;
  if (
    views &&
    (normalization.storesMoments || spec.layers === 'trained' || spec.layers.some((layer) => layer !== 'head'))
  ) {
    const got = `${normalization.name} moments and ${spec.layers === 'trained' ? 'learned masks' : spec.layers.join(', ')}`;
    throw new Error(
      `pattern "${spec.name}": expected views with moments that are not the examples', and the head alone moving, got ${got}`,
    );
  }
  const trained = (name: string): Float32Array => {
    const parameter = state.parameters.get(name);
    if (!parameter) throw new Error(`the checkpoint has no parameter "${name}"`);
    return parameter.value;
  };
  const settings = taskSettings(config, config.shots[0] as number, backbone);
  const { rule } = settings;
  const inner = new Map(innerParameters(settings).map((parameter) => [parameter.name, parameter]));
  const innerOf = (name: string): InnerParameter => {
    const parameter = inner.get(name);
    if (!parameter) throw new Error(`the network has no parameter "${name}"`);
    return parameter;
  };
  const learnedOf = (name: string): Float32Array | undefined => {
    const parameter = innerOf(name);
    const learned = rule.moves(parameter) && rule.learns?.(parameter, settings.innerRate);
    return learned ? trained(learned.name) : undefined;
  };
  /** Multiples of the inner rate, so that a bundle's common rate scales them all. */
  const ratesOf = (name: string): Float32Array | undefined => {
    const learned = learnedOf(name);
    if (!rule.rates || !learned) return undefined;
    return expandLearned(rule.rates(learned), innerOf(name)).map((rate) => rate / settings.innerRate);
  };
  const maskOf = (name: string, layer: string, size: number): Uint8Array => {
    if (spec.layers !== 'trained') {
      const rates = ratesOf(name);
      const included = spec.layers.includes(layer);
      // What has no rate of its own does not move in any pattern.
      return Uint8Array.from({ length: size }, (_, i) => Number(included && rates?.[i] !== 0));
    }
    const learned = learnedOf(name);
    if (!rule.mask || !learned) {
      throw new Error(`rule "${config.rule}" learns no mask of "${name}"; pattern "${spec.name}" needs it`);
    }
    return expandLearned(rule.mask(learned), innerOf(name));
  };
  const weights = backbone.parameters.map(({ name, shape, layer, normalizedAway }): PatternWeight => {
    const start = trained(name);
    // The mean takes it out again: nothing would move it.
    if (normalizedAway && centresChannels) return { name, shape, start };
    const rates = ratesOf(name);
    return { name, shape, start, mask: maskOf(name, layer, start.length), ...(rates ? { rates } : {}) };
  });
  const learnedHead = headParameters(head, backbone.features, 1).map(({ name, shape }) => ({
    name,
    shape,
    start: trained(name),
  }));
  const headRates = { weight: ratesOf('head.weight'), bias: ratesOf('head.bias') };
  return {
    backbone,
    head,
    weights,
    learnedHead,
    headMasks: { weight: maskOf('head.weight', 'head', backbone.features), bias: maskOf('head.bias', 'head', 1) },
    ...(headRates.weight && headRates.bias ? { headRates: { weight: headRates.weight, bias: headRates.bias } } : {}),
    normalization,
    moments: state.moments,
    ...(views ? { views } : {}),
    ...(spec.rerunsPrefix ? { rerunsPrefix: true } : {}),
  };
}

/** Layers in which at least one weight moves, from the image upward. */
export function movingLayers({ config, backbone }: Checkpoint, parts: PatternParts): string[] {
  const { layers, parameters } = backboneOf(config, backbone);
  const open = new Set(parts.weights.filter(({ mask }) => mask?.includes(1)).map(({ name }) => name));
  const moving = layers.filter((layer) =>
    parameters.some((parameter) => parameter.layer === layer && open.has(parameter.name)),
  );
  const headMoves = parts.headMasks.weight.includes(1) || parts.headMasks.bias.includes(1);
  return headMoves ? [...moving, 'head'] : moving;
}
