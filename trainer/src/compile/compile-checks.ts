import { listProblems } from '@whet/compiler';
import type { Preprocessing } from '@whet/runtime';
import { takeSupportMoments } from '../pattern/support-moments.js';
import type { CompileOptions, ImageOptions } from './compile-options.js';
import { checkLabels } from './labels.js';
import { CompileError } from './read/compile-error.js';
import { checkLevels } from './read/feature-levels.js';
import { expectFinite } from './read/finite-weights.js';
import type { ModelParameter } from './read/model-parameters.js';
import type { SourceHead } from './read/read-head.js';
import type { SourceModel } from './read/read-model.js';

function perChannel(what: string, given: readonly number[] | undefined, absent: number, channels: number): number[] {
  const values = given ?? [absent];
  if (values.length === channels) return [...values];
  if (values.length === 1) return Array.from({ length: channels }, () => values[0] as number);
  throw new CompileError(`${what}: expected 1 or ${channels} numbers, got ${values.length}`);
}

/** Means and deviations of pixels 0..1. Throws {@link CompileError} where those given look like others, and nobody said which. */
function ofUnitPixels(
  options: ImageOptions,
  { shape: [channels], bytes }: SourceModel['input'],
): Pick<Preprocessing, 'mean' | 'std'> {
  const { pixelRange } = options;
  if (bytes) {
    if (options.mean || options.std || pixelRange !== undefined) {
      throw new CompileError(
        'mean, std and pixels: expected none of a model that takes uint8 and prepares its pixels itself',
      );
    }
    return { mean: perChannel('mean', undefined, 0, channels), std: perChannel('std', undefined, 1 / 255, channels) };
  }
  const mean = perChannel('mean', options.mean, 0, channels);
  const std = perChannel('std', options.std, 1, channels);
  if (!std.every((value) => value > 0)) throw new CompileError(`std: expected positive numbers, got ${std.join(', ')}`);
  for (const [what, values] of Object.entries({ mean, std })) {
    if (pixelRange !== undefined || !values.some((value) => Math.abs(value) > 1)) continue;
    throw new CompileError(
      `${what}: expected numbers of pixels 0..1, got ${values.join(', ')}: say --pixels 255 if mean and std are of pixels ` +
        '0..255, or --pixels 1 if they are meant as they are',
    );
  }
  const range = pixelRange ?? 1;
  return { mean: mean.map((value) => value / range), std: std.map((value) => value / range) };
}

/** How images become the model's input. Throws {@link CompileError} for what does not fit it. */
export function preprocessingOf(options: ImageOptions, model: SourceModel): Preprocessing {
  const [channels, height, width] = model.input.shape;
  const { fit = 'contain', resize, grey, bgr = false } = options;
  if (resize !== undefined && fit !== 'cover') {
    throw new CompileError(`resize: expected it with fit "cover", which cuts the middle out, got fit "${fit}"`);
  }
  if (resize !== undefined && resize < Math.max(width, height)) {
    const size = `${height} x ${width}`;
    throw new CompileError(
      `resize: expected a shorter side no smaller than the model's images, ${size}, got ${resize}`,
    );
  }
  if (bgr && channels !== 3) throw new CompileError(`bgr: expected a model of 3 channels, got ${channels}`);
  if (grey !== undefined && channels !== 1) {
    throw new CompileError(`grey: expected a model of 1 channel, got ${channels}`);
  }
  return {
    width,
    height,
    channels,
    fit,
    ...(resize === undefined ? {} : { resize }),
    background: options.background ?? 255,
    kernel: options.kernel ?? 'lanczos3',
    ...(grey === undefined ? {} : { grey }),
    ...(bgr ? { bgr } : {}),
    invert: false,
    ...ofUnitPixels(options, model.input),
  };
}

/** Blocks whose results stand beside the features, where a head of directions reads them. */
const LEVELS = 2;

/** How many blocks are asked for. Throws {@link CompileError} where the head cannot read any. */
export function levelsFor({
  head = 'cosine',
  levels,
}: {
  readonly head?: CompileOptions['head'];
  readonly levels?: number | undefined;
}): number {
  checkLevels(levels ?? LEVELS);
  if (head === 'cosine') return levels ?? LEVELS;
  if (levels) throw new CompileError(`levels: expected none, or a cosine head, got ${levels} and the head "${head}"`);
  return 0;
}

/** Why there are fewer levels than were asked for. */
export function fewerLevels({ opaque, levels }: SourceModel, wanted: number): CompileError {
  const why = opaque
    ? 'of a model that stays as exported in part, or is quantized, there are none'
    : `the network has ${levels.length} blocks with layers above them that make images [N, C, H, W]`;
  return new CompileError(`levels: expected no more than there are, got ${wanted}: ${why}`);
}

/** Throws {@link CompileError} where `support` normalization would change nothing. */
export function expectNormalizations(model: SourceModel): void {
  if (model.opaque) {
    throw new CompileError(
      'normalization "support": expected a model of which all is read and nothing is quantized: what stays as exported ' +
        'normalizes with its own moments; take "population"',
    );
  }
  if (takeSupportMoments(model.featureGraph([])).normalizations.length > 0) return;
  throw new CompileError(
    `normalization "support": expected BatchNormalization layers below the features "${model.features}", got none ` +
      '(exporters may fold them into the layers before); take "population"',
  );
}

/** The kept head and the names of its classes; nothing of a new one. */
export function headOf(options: CompileOptions, model: SourceModel): { head?: SourceHead; labels?: string[] } {
  const kind = options.head ?? 'cosine';
  if (kind !== 'keep') {
    if (!options.labels) return {};
    throw new CompileError(
      `labels name the classes of the model's own last layer: expected head "keep", got "${kind}"`,
    );
  }
  const head = model.head();
  expectFinite(head.name, head.weight, [head.classes, model.layout.length]);
  expectFinite(head.name, head.bias, [head.classes]);
  const labels = options.labels ?? Array.from({ length: head.classes }, (_, i) => String(i));
  checkLabels(labels, head.classes);
  return { head, labels: [...labels] };
}

/** Throws where `what` moves what stands below nodes that cannot be differentiated, naming all of these. */
export function checkMovable(model: SourceModel, what: string, moving: readonly ModelParameter[]): void {
  const blocked = moving.filter((parameter) => parameter.blocked);
  if (blocked.length === 0) return;
  const names = blocked.slice(0, 3).map(({ tensor }) => `"${tensor}"`);
  const more = blocked.length > names.length ? ` and ${blocked.length - names.length} more` : '';
  const layers = new Set(model.parameters.filter((parameter) => !parameter.blocked).map(({ layer }) => layer)).size;
  const instead = layers > 0 ? `last:${layers} at most` : 'nothing but the head (none)';
  throw new CompileError(
    [
      `${what} moves ${names.join(', ')}${more}, but these nodes above cannot be differentiated:`,
      ...listProblems(model.blockersOf(blocked)),
      `choose later layers: ${instead}`,
    ].join('\n  '),
  );
}
