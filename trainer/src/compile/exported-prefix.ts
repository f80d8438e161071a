import { cutOnnx, type ExternalReader, encodeOnnx, type Graph, lowerForCpu, type Value } from '@whet/compiler';
import type * as ort from 'onnxruntime-node';
import { isLevels, LEVEL_AXES } from './read/feature-levels.js';
import { runOne, waves } from './read/probe-tensors.js';
import type { SourceModel } from './read/read-model.js';

/** How far the two may be apart, of the largest value: the runtime fuses each differently in float32. */
const TOLERANCE = 1e-3;

/** Whether two tensors are equal but for the rounding of float32. */
export function agree(a: ort.Tensor, b: ort.Tensor): boolean {
  if (a.type !== 'float32' || b.type !== 'float32' || a.dims.join() !== b.dims.join()) return false;
  const [x, y] = [a.data as Float32Array, b.data as Float32Array];
  const scale = y.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-6);
  return x.every((value, i) => Math.abs(value - (y[i] as number)) <= TOLERANCE * scale);
}

/** What the file has of a value of the feature graph: a tensor, whose mean over axes or whose entries in a row it is. */
interface FilePart {
  readonly tensor: string;
  readonly mean: readonly number[];
  readonly flatten: boolean;
}

/**
 * The tensors of the file that a value is made of: itself, or in this project's graph only features of more than one axis in a row or their
 * mean, means of what blocks make, and all of these side by side.
 */
function filePartsOf(model: SourceModel, value: Value): FilePart[] {
  const { producer, name } = value;
  const [from] = producer?.inputs ?? [];
  if (producer?.op === 'Concat' && isLevels(name)) {
    return producer.inputs.flatMap((input) => (input ? filePartsOf(model, input) : []));
  }
  if (from && producer?.op === 'ReduceMean' && isLevels(name)) {
    return [{ tensor: from.name, mean: LEVEL_AXES, flatten: false }];
  }
  const { mean } = model.layout;
  const derived = (producer?.op === 'Reshape' || producer?.op === 'ReduceMean') && from?.name === model.features;
  if (derived) return [{ tensor: model.features, mean, flatten: mean.length === 0 }];
  const isImage = name === 'images' && !model.opaque && !producer;
  return [{ tensor: isImage ? model.input.name : name, mean: [], flatten: false }];
}

/** What the file calls what a value is made of. */
export const fileTensorsOf = (model: SourceModel, value: Value): string[] =>
  filePartsOf(model, value).map(({ tensor }) => tensor);

/** Where a cut of the file ends that makes values. */
export function cutAt(model: SourceModel, values: readonly Value[]) {
  const parts = values.flatMap((value) => filePartsOf(model, value));
  return {
    tensors: parts.map(({ tensor }) => tensor),
    means: parts.map(({ mean }) => mean),
    flatten: parts.some(({ flatten }) => flatten),
  };
}

/**
 * The frozen part of a model as its exporter wrote it, so that the runtime's own fusions apply, or undefined where it
 * cannot stay so: it takes one batch size only, or works in half precision. Both ways are run on two images and have to
 * agree.
 */
export async function exportedPrefix(
  model: SourceModel,
  encode: Graph,
  boundary: readonly Value[],
  external: ExternalReader | undefined,
): Promise<Uint8Array | undefined> {
  const { shape } = encode.outputs.get('features') as Value;
  const cut = cutOnnx(model.file, {
    input: { tensor: model.input.name, name: 'images', shape: ['N', ...model.input.shape] },
    output: { ...cutAt(model, boundary), name: 'features', shape },
    ...(external ? { external } : {}),
  });
  if (!cut) return undefined;
  const images = waves(model.input, [0, 1]);
  const expected = await runOne(encodeOnnx(lowerForCpu(encode)), { images }, cut.length);
  // A file that this runtime refuses is not left as it is; the re-encoded one takes its place.
  const actual = await runOne(cut, { images }).catch(() => undefined);
  return expected && actual && agree(actual, expected) ? cut : undefined;
}
