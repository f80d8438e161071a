import { listProblems } from '@whet/compiler';
import type { Preprocessing } from '@whet/runtime';
import { takeSupportMoments } from '../pattern/support-moments.js';
import type { CompileOptions } from './compile-options.js';
import { checkLabels } from './labels.js';
import { CompileError } from './read/compile-error.js';
import type { ModelParameter } from './read/model-parameters.js';
import type { SourceHead } from './read/read-head.js';
import type { SourceModel } from './read/read-model.js';

function perChannel(what: string, given: readonly number[] | undefined, absent: number, channels: number): number[] {
  const values = given ?? [absent];
  if (values.length === channels) return [...values];
  if (values.length === 1) return Array.from({ length: channels }, () => values[0] as number);
  throw new CompileError(`${what}: expected 1 or ${channels} numbers, got ${values.length}`);
}

/** How images become the model's input. Throws {@link CompileError} for numbers that do not fit its channels. */
export function preprocessingOf(options: CompileOptions, model: SourceModel): Preprocessing {
  const [channels, height, width] = model.input.shape;
  const { bytes } = model.input;
  if (bytes && (options.mean || options.std)) {
    throw new CompileError('mean and std: expected none of a model that takes uint8 and prepares its pixels itself');
  }
  const std = perChannel('std', options.std, bytes ? 1 / 255 : 1, channels);
  if (!std.every((value) => value > 0)) throw new CompileError(`std: expected positive numbers, got ${std.join(', ')}`);
  return {
    width,
    height,
    channels,
    fit: 'contain',
    background: options.background ?? 255,
    kernel: 'lanczos3',
    invert: false,
    mean: perChannel('mean', options.mean, 0, channels),
    std,
  };
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
  if (options.head !== 'keep') {
    if (!options.labels) return {};
    throw new CompileError('labels name the classes of the model\'s own last layer: expected head "keep", got "new"');
  }
  const head = model.head();
  const labels = options.labels ?? Array.from({ length: head.classes }, (_, i) => String(i));
  checkLabels(labels, head.classes);
  return { head, labels: [...labels] };
}

/** Throws where a pattern moves what stands below nodes that cannot be differentiated, naming all of these. */
export function checkMovable(model: SourceModel, pattern: string, moving: readonly ModelParameter[]): void {
  const blocked = moving.filter((parameter) => parameter.blocked);
  if (blocked.length === 0) return;
  const names = blocked.slice(0, 3).map(({ tensor }) => `"${tensor}"`);
  const more = blocked.length > names.length ? ` and ${blocked.length - names.length} more` : '';
  const layers = new Set(model.parameters.filter((parameter) => !parameter.blocked).map(({ layer }) => layer)).size;
  const instead = layers > 0 ? `last:${layers} at most` : 'nothing but the head (none)';
  throw new CompileError(
    [
      `pattern "${pattern}" moves ${names.join(', ')}${more}, but these nodes above cannot be differentiated:`,
      ...listProblems(model.blockersOf(blocked)),
      `choose later layers: ${instead}`,
    ].join('\n  '),
  );
}
