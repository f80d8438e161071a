import type { ExternalReader, GraphCost } from '@whet/compiler';
import type { Manifest, Preprocessing } from '@whet/runtime';
import type { ObjectiveName, OptimizerName, ScheduleName, StoredNumbers } from '@whet/runtime/format';
import type { StorageOptions } from '../bundle/files.js';
import type { QuantizedPattern, QuantizeOptions } from '../quantize/quantize-draft.js';
import type { ImageLayout } from './read/model-input.js';
import type { ModelParameter } from './read/model-parameters.js';
import type { SourceHead } from './read/read-head.js';
import type { SourceModel } from './read/read-model.js';

/** Of a file's BatchNormalization layers. */
export type FileNormalization = Exclude<Manifest['normalization'], 'layer'>;

/** How a pattern's steps are made; what is absent is as `stepOptions` says. */
export interface StepOptions {
  readonly steps?: number;
  readonly rate?: number;
  /** How a gradient becomes a step. */
  readonly optimizer?: OptimizerName;
  /** What the loss of a step is of. */
  readonly objective?: ObjectiveName;
  /** The share of each label that all classes have, 0 to below 1; none when absent. */
  readonly smoothing?: number;
  /** How much of the distance to where values started is taken off in a step, times the rate; none when absent. */
  readonly decay?: number;
  /** What becomes of the rate from step to step; `constant` when absent. */
  readonly schedule?: ScheduleName;
  /** Views of an example that is alone in its class. */
  readonly views?: number;
}

/** How images become a model's input. */
export interface ImageOptions {
  /** Per channel, of pixels 0..`pixelRange`; one number stands for all channels. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  /**
   * What the model's white is before `mean` and `std`: 1 or 255. 1 when absent; means and deviations above 1 are refused then, as
   * they are likely those of 0..255.
   */
  readonly pixelRange?: 1 | 255;
  /** How an image of another aspect ratio is brought to the model's; `contain` when absent. */
  readonly fit?: Preprocessing['fit'];
  /** Of `cover`: pixels of the image's shorter side, before its middle is cut out. */
  readonly resize?: number;
  /** How pixels are weighed when an image is resized; `lanczos3` when absent. */
  readonly kernel?: Preprocessing['kernel'];
  /** What a model of one channel sees of colours; `linear` when absent. */
  readonly grey?: NonNullable<Preprocessing['grey']>;
  /** The model takes blue, green, red; `mean` and `std` are in that order. */
  readonly bgr?: boolean;
  /** Colour around an image of another aspect ratio, 0..255. */
  readonly background?: number;
}

export interface CompileOptions extends StepOptions, ImageOptions, StorageOptions {
  /** The ONNX file. */
  readonly model: Uint8Array;
  /** What the file is called, for the manifest. */
  readonly fileName: string;
  /** Reads values that the model keeps in files beside it. */
  readonly external?: ExternalReader;
  /** The bundle's folder; written whole or not at all. */
  readonly directory: string;
  readonly name: string;
  readonly version?: string;
  readonly description?: string;
  /** What moves, by pattern: parameter names, globs, `last:N`, `blocks:N`, `bias`, `norm`, `all`, `none`. The first is the default. */
  readonly patterns: Readonly<Record<string, readonly string[]>>;
  /**
   * `cosine`, the default: every class starts from the mean direction of its features. `prototype`: from its mean feature. `keep`:
   * from the model's own last layer.
   */
  readonly head?: 'cosine' | 'prototype' | 'keep';
  /** Names of a kept head's classes, in the order of its rows; "0", "1", ... when absent. */
  readonly labels?: readonly string[];
  readonly features?: string;
  /**
   * Blocks, counted from the last, the means of whose results a cosine head reads beside the features: 2, or as many as there are, when
   * absent; 0 for the features alone.
   */
  readonly levels?: number;
  /**
   * Whose moments BatchNormalization layers take: `population`, those of the file (the default), or `support`, those of
   * the examples, for images unlike those that the model was trained on.
   */
  readonly normalization?: FileNormalization;
  /** What an adaptation may have at most; 500 examples and 100 classes, beside those of a kept head, when absent. */
  readonly limits?: Partial<Manifest['limits']>;
  /** How profiles store what moved; `float32` when absent. */
  readonly profiles?: StoredNumbers;
  /** How the frozen part becomes bytes; it stays in float32 when absent. */
  readonly quantize?: QuantizeOptions;
  readonly imageSize?: readonly [height: number, width: number];
  /** Where the channels of its input stand, for a model whose input does not show it. */
  readonly layout?: ImageLayout;
}

export interface PatternReport {
  readonly name: string;
  readonly moving: readonly ModelParameter[];
  /** Tensors of the model at which the frozen part ends; none where nothing is frozen. */
  readonly boundary: readonly string[];
  /** Whether the frozen part is the file's own, or was encoded anew; undefined where nothing is frozen. */
  readonly encoded: 'as exported' | 'anew' | undefined;
  /** Of an inner step with one example of 5 classes or those of a kept head; encoding, once per image, is not in it. */
  readonly stepCost: GraphCost;
  /** Of encoding one image; undefined where nothing is frozen. */
  readonly encodeCost: GraphCost | undefined;
}

export interface CompileReport {
  readonly manifest: Manifest;
  readonly model: SourceModel;
  /** The model's own last layer, where it is kept. */
  readonly head: SourceHead | undefined;
  readonly patterns: readonly PatternReport[];
  /** What became of each frozen part, where they are bytes. */
  readonly quantized?: Readonly<Record<string, QuantizedPattern>>;
  /** What an inner step would cost if everything moved that can; undefined where that has no graph. */
  readonly fullCost: GraphCost | undefined;
}
