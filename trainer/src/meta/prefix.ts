import type { Tensor } from '@whet/compiler';
import * as ort from 'onnxruntime-node';

/** The frozen part of a model on onnxruntime. */
export interface Prefix {
  /** Shape of the features of one image. */
  readonly features: readonly number[];
  /** `features [N, ...]` of preprocessed images, `[C, H, W]` each. */
  encode(images: readonly Float32Array[]): Promise<Tensor>;
  release(): Promise<void>;
}

const side = (images: readonly Float32Array[], length: number): Float32Array => {
  const data = new Float32Array(images.length * length);
  images.forEach((image, i) => {
    data.set(image, i * length);
  });
  return data;
};

/** Opens a frozen part; of none (`undefined`) an image's features are the image. */
export async function openPrefix(
  bytes: Uint8Array | undefined,
  image: readonly number[],
  features: readonly number[],
  threads?: number,
): Promise<Prefix> {
  const length = image.reduce((a, b) => a * b, 1);
  if (!bytes) {
    return {
      features,
      encode: async (images) => ({ dtype: 'float32', shape: [images.length, ...features], data: side(images, length) }),
      release: async () => undefined,
    };
  }
  const session = await ort.InferenceSession.create(bytes, {
    logSeverityLevel: 3,
    extra: { session: { force_spinning_stop: '1' } },
    ...(threads ? { intraOpNumThreads: threads } : {}),
  });
  return {
    features,
    encode: async (images) => {
      const fed = new ort.Tensor('float32', side(images, length), [images.length, ...image]);
      const { features: made } = await session.run({ images: fed });
      return { dtype: 'float32', shape: [images.length, ...features], data: made?.data as Float32Array };
    },
    release: () => session.release(),
  };
}
