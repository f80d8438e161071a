import type { GraphBuilder, Value } from '@whet/compiler';

/** What a parameter is before training: drawn, or as a file has it. */
export type Initializer =
  | { readonly kind: 'normal'; readonly deviation: number }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'given'; readonly values: Float32Array };

export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** The layer it belongs to, the unit of lambda patterns: `block1`, ..., `head`. */
  readonly layer: string;
  readonly initializer: Initializer;
  /** The axis along which its layer's output channels lie; the first when absent. */
  readonly channelAxis?: number;
  /** Added right before a normalization: batch moments take it out again, so that it has no gradient. */
  readonly normalizedAway?: true;
}

/** Moments of one normalization: mean and (biased) variance, per channel `[1, C, 1, 1]` or per image `[N, 1, 1, 1]`. */
export interface Moments {
  readonly mean: Value;
  readonly variance: Value;
  /** `x - mean`, where it was computed on the way. */
  readonly centered?: Value;
}

/** Decides whose moments normalize the activations `x [N, C, H, W]` of the normalization `name`. */
export type MomentSource = (name: string, x: Value) => Moments;

/** A source of moments, or `image`: each image by its own over all channels, in whatever way costs least. */
export type NormalizeBy = MomentSource | 'image';

export interface Normalization {
  readonly name: string;
  /** Whose output it normalizes, of the network's `layers`; the layer of the parameter `<name>.weight` when absent. */
  readonly layer?: string;
  readonly channels: number;
  /** Population moments before training, per channel; mean 0 and variance 1 when absent. */
  readonly moments?: { readonly mean: Float32Array; readonly variance: Float32Array };
}

/**
 * A network from images `[N, C, H, W]` to features `[N, F]`, whether its `build` is code or copies what was read from a file:
 * rules, masks, patterns, search and export ask for no more than this.
 */
export interface Backbone {
  /** With `settings` what a run writes down to know its network again. */
  readonly architecture: string;
  readonly settings: Readonly<Record<string, number | string | boolean | readonly number[]>>;
  /** `[C, H, W]` */
  readonly imageShape: readonly [number, number, number];
  readonly features: number;
  readonly parameters: readonly ParameterSpec[];
  readonly normalizations: readonly Normalization[];
  /** Layers from the image upward. */
  readonly layers: readonly string[];
  build(g: GraphBuilder, images: Value, parameter: (name: string) => Value, normalizeBy: NormalizeBy): Value;
}
