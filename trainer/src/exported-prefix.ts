import { cutOnnx, type ExternalReader, encodeOnnx, type Graph, staticShape, type Value } from '@whet/compiler';
import * as ort from 'onnxruntime-node';
import type { SourceModel } from './read-model.js';

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

function agree(a: ort.Tensor, b: ort.Tensor): boolean {
  if (a.type !== 'float32' || b.type !== 'float32' || a.dims.join() !== b.dims.join()) return false;
  const [x, y] = [a.data as Float32Array, b.data as Float32Array];
  const scale = y.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-6);
  return x.every((value, i) => Math.abs(value - (y[i] as number)) <= TOLERANCE * scale);
}

/** Features `[N, F, 1, 1]` become rows in this project's graph only. */
const isFlattened = (model: SourceModel, { producer }: Value): boolean =>
  producer?.op === 'Reshape' && producer.inputs[0]?.name === model.features;

/** What the file calls a value of the feature graph. */
export function tensorOf(model: SourceModel, value: Value): string {
  if (isFlattened(model, value)) return model.features;
  return value.name === 'images' ? model.image : value.name;
}

/**
 * The frozen part of a model as its exporter wrote it, so that the runtime's own fusions apply, or undefined where it
 * cannot stay so: it takes one batch size only, or works in half precision. Both ways are run on two images and have to
 * agree.
 */
export async function exportedPrefix(
  bytes: Uint8Array,
  model: SourceModel,
  encode: Graph,
  boundary: readonly Value[],
  external: ExternalReader | undefined,
): Promise<Uint8Array | undefined> {
  const shape = ['N', ...model.imageShape];
  const features = encode.outputs.get('features') as Value;
  const cut = cutOnnx(bytes, {
    input: { tensor: model.image, name: 'images', shape },
    output: {
      tensors: boundary.map((value) => tensorOf(model, value)),
      name: 'features',
      shape: features.shape,
      flatten: boundary.some((value) => isFlattened(model, value)),
    },
    ...(external ? { external } : {}),
  });
  if (!cut) return undefined;
  const dims = [2, ...staticShape({ ...features, shape: model.imageShape })];
  const length = dims.reduce((a, b) => a * b, 1);
  const wave = Float32Array.from({ length }, (_, i) => Math.sin(0.37 * i) * Math.cos(0.011 * i));
  const images = new ort.Tensor('float32', wave, dims);
  const expected = await runOn(encodeOnnx(encode), images);
  // A file that this runtime refuses is not left as it is; the re-encoded one takes its place.
  const actual = await runOn(cut, images).catch(() => undefined);
  return expected && actual && agree(actual, expected) ? cut : undefined;
}
