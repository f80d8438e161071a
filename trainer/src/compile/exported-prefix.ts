import { cutOnnx, type ExternalReader, encodeOnnx, type Graph, lowerForCpu, type Value } from '@whet/compiler';
import * as ort from 'onnxruntime-node';
import { waves } from './read/probe-tensors.js';
import type { SourceModel } from './read/read-model.js';

/** How far the two may be apart, of the largest value: the runtime fuses each differently in float32. */
const TOLERANCE = 1e-3;

async function runOn(bytes: Uint8Array, images: ort.Tensor): Promise<ort.Tensor | undefined> {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 4, intraOpNumThreads: 1 });
  try {
    return (await session.run({ images }))['features'];
  } finally {
    await session.release();
  }
}

/** Whether two tensors are equal but for the rounding of float32. */
export function agree(a: ort.Tensor, b: ort.Tensor): boolean {
  if (a.type !== 'float32' || b.type !== 'float32' || a.dims.join() !== b.dims.join()) return false;
  const [x, y] = [a.data as Float32Array, b.data as Float32Array];
  const scale = y.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-6);
  return x.every((value, i) => Math.abs(value - (y[i] as number)) <= TOLERANCE * scale);
}

/** Features of more than one axis become rows, or their mean is taken, in this project's graph only. */
const isDerived = (model: SourceModel, { producer }: Value): boolean =>
  (producer?.op === 'Reshape' || producer?.op === 'ReduceMean') && producer.inputs[0]?.name === model.features;

/** What the file calls a value of the feature graph. */
export function fileTensorOf(model: SourceModel, value: Value): string {
  if (isDerived(model, value)) return model.features;
  return value.name === 'images' && !model.opaque && !value.producer ? model.input.name : value.name;
}

/** What a cut has to add to the file's tensors for them to be the values. */
export function derivedFeatures(model: SourceModel, values: readonly Value[]) {
  const derived = values.some((value) => isDerived(model, value));
  const { mean } = model.layout;
  return { flatten: derived && mean.length === 0, ...(derived && mean.length > 0 ? { mean } : {}) };
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
    output: {
      tensors: boundary.map((value) => fileTensorOf(model, value)),
      name: 'features',
      shape,
      ...derivedFeatures(model, boundary),
    },
    ...(external ? { external } : {}),
  });
  if (!cut) return undefined;
  const images = waves(model.input, [0, 1]);
  const expected = await runOn(encodeOnnx(lowerForCpu(encode)), images);
  // A file that this runtime refuses is not left as it is; the re-encoded one takes its place.
  const actual = await runOn(cut, images).catch(() => undefined);
  return expected && actual && agree(actual, expected) ? cut : undefined;
}
