import type { GraphBuilder, Value } from '@whet/compiler';
import { type Backbone, batchMoments, type MomentSource, type Moments, type NormalizeBy } from '@whet/models';
import type { Manifest } from '@whet/runtime';
import { featuresWithMoments } from './given-moments.js';

export const normalizationNames = ['transductive', 'support', 'population', 'layer'] as const;
export type NormalizationName = (typeof normalizationNames)[number];

/** Moments by the name of their normalization. */
export type MomentMap = ReadonlyMap<string, Moments>;

/** A batch of a task's images on its way through the network. */
export interface ForwardPass {
  readonly g: GraphBuilder;
  readonly backbone: Backbone;
  /** `[N, C, H, W]` */
  readonly images: Value;
  readonly parameters: ReadonlyMap<string, Value>;
  /** Inputs of the task's graph; none unless the mode takes them. */
  readonly population: MomentMap;
}

export interface QueryPass extends ForwardPass {
  /** Of the support set at the same parameters. */
  readonly support: MomentMap;
  /** Inner steps have moved weights below the head, so that they are the task's own. */
  readonly bodyMoves: boolean;
}

/** What a bundle's graphs do with moments, and profiles of it. */
export interface BundledNormalization {
  readonly name: Manifest['normalization'];
  /** A profile stores its examples' moments, so that features of an image depend on whose it is. */
  readonly storesMoments: boolean;
  /** Whose moments the network is built with. */
  readonly source: (moments: { readonly population: MomentSource; readonly examples: MomentSource }) => NormalizeBy;
}

/** Whose moments normalize. A mode is a value: who needs to know something of it asks that, not for its name. */
export interface NormalizationMode {
  readonly name: NormalizationName;
  /** Takes moments that the outer loop collects: the task's graph has them as inputs, a fresh run starts from some images'. */
  readonly takesPopulation: boolean;
  /** Takes out what is added to a whole channel before it, such as a bias, which then has no gradient. */
  readonly centresChannels: boolean;
  /** Features that the support loss reads; with the support set's moments where the pass comes by them. */
  readonly support: (pass: ForwardPass) => { readonly features: Value; readonly moments?: MomentMap };
  /** The support set's moments, in a pass of their own; absent where nothing is normalized by moments of a batch. */
  readonly observe?: (pass: ForwardPass) => MomentMap;
  /** Features of the query set. */
  readonly query: (pass: QueryPass) => Value;
  /** In a bundle; or why it cannot be exported. */
  readonly bundle: BundledNormalization | { readonly obstacle: string };
  /** The mode that comes nearest to it and in which a query image sees no other: its own unless it sees them. */
  readonly alone: NormalizationName;
  /** The mode in which query images see each other; its own where an image sees itself alone whatever is beside it. */
  readonly together: NormalizationName;
}

const featuresBy = ({ g, backbone, images, parameters }: ForwardPass, by: NormalizeBy): Value => {
  const parameter = (name: string): Value => {
    const value = parameters.get(name);
    if (!value) throw new Error(`no parameter "${name}"`);
    return value;
  };
  return backbone.build(g, images, parameter, by);
};

const featuresByGiven = ({ g, backbone, images, parameters }: ForwardPass, moments: MomentMap): Value =>
  featuresWithMoments(g, backbone, images, parameters, moments);

const given =
  (moments: MomentMap): MomentSource =>
  (name) => {
    const found = moments.get(name);
    if (!found) throw new Error(`no moments of "${name}"`);
    return { mean: found.mean, variance: found.variance };
  };

/** Features normalized by the batch's own moments, or by those of `instead`, and the batch's moments. */
function observe(pass: ForwardPass, instead: MomentMap = new Map()) {
  const moments = new Map<string, Moments>();
  const features = featuresBy(pass, (name, x) => {
    const own = batchMoments(pass.g, x);
    moments.set(name, own);
    return instead.get(name) ?? own;
  });
  return { features, moments };
}

const bySupport: Pick<NormalizationMode, 'takesPopulation' | 'centresChannels' | 'support' | 'observe'> = {
  takesPopulation: false,
  centresChannels: true,
  support: (pass) => observe(pass),
  observe: (pass) => observe(pass).moments,
};

/** What bundles of each kind of moments do, by their manifests' word. */
export const bundledNormalizations: { readonly [Name in Manifest['normalization']]: BundledNormalization } = {
  population: { name: 'population', storesMoments: false, source: ({ population }) => population },
  support: { name: 'support', storesMoments: true, source: ({ examples }) => examples },
  layer: { name: 'layer', storesMoments: false, source: () => 'image' },
};

/** Every mode by its name: see docs/design/networks.md. */
export const normalizations: { readonly [Name in NormalizationName]: NormalizationMode } = {
  /** The papers': the support images by their moments, the query images by theirs. */
  transductive: {
    ...bySupport,
    name: 'transductive',
    query: (pass) => featuresBy(pass, (_, x) => batchMoments(pass.g, x)),
    bundle: {
      obstacle:
        'normalization "transductive" is not exported, as a device predicts one image; expected "support", "population" or "layer"',
    },
    alone: 'support',
    together: 'transductive',
  },
  /** All by the support images' moments (MetaBN, Bronskill et al. 2020). */
  support: {
    ...bySupport,
    name: 'support',
    // A task's own moments would make a task's own weights of those that all tasks share.
    query: (pass) => (pass.bodyMoves ? featuresByGiven(pass, pass.support) : featuresBy(pass, given(pass.support))),
    bundle: bundledNormalizations.support,
    alone: 'support',
    together: 'transductive',
  },
  /** All by moments that are the same for every task. */
  population: {
    name: 'population',
    takesPopulation: true,
    centresChannels: false,
    support: (pass) => ({ features: featuresByGiven(pass, pass.population) }),
    observe: (pass) => observe(pass, pass.population).moments,
    query: (pass) => featuresByGiven(pass, pass.population),
    bundle: bundledNormalizations.population,
    alone: 'population',
    together: 'transductive',
  },
  /** Each image by its own moments over all channels (Ba et al. 2016). */
  layer: {
    name: 'layer',
    takesPopulation: false,
    centresChannels: false,
    support: (pass) => ({ features: featuresBy(pass, 'image') }),
    query: (pass) => featuresBy(pass, 'image'),
    bundle: bundledNormalizations.layer,
    alone: 'layer',
    together: 'layer',
  },
};
