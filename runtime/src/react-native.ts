import { type InferenceSession, type InferenceSessionFactory, Tensor } from 'onnxruntime-common';
import { Bundle, type OpenOptions } from './bundle.js';
import { externalDataOption } from './source.js';
import { sessionOf } from './web/breathe.js';
import type { FetchOptions, ReadFile } from './web/fetch-files.js';
import { readerOf } from './web/read-bundle.js';

/** What is used of `onnxruntime-react-native`, whose module is handed in, as what `import * as ort` gives. */
export interface ReactNativeRuntime {
  readonly InferenceSession: Pick<InferenceSessionFactory, 'create'>;
}

export interface ReactNativeLoadOptions extends OpenOptions, FetchOptions {
  /** What runs the graphs, as `onnxruntime-react-native` calls it, such as `xnnpack`, `nnapi` or `coreml`; the processor when absent. */
  readonly executionProviders?: readonly InferenceSession.ExecutionProviderConfig[];
  /** Threads inside an operator; onnxruntime's own number when absent. */
  readonly threads?: number;
}

/** Its native side reads the buffer of an array from its beginning: what is a part of one is copied. */
const whole = <T extends Uint8Array | Float32Array>(data: T): T =>
  data.byteLength === data.buffer.byteLength ? data : (data.slice() as T);

function ownFeeds(feeds: InferenceSession.FeedsType): InferenceSession.FeedsType {
  const tensors = Object.entries(feeds as Record<string, Tensor>).map(([name, tensor]) => {
    const { data, dims, type } = tensor;
    if (!ArrayBuffer.isView(data)) return [name, tensor] as const;
    return [name, new Tensor(type as 'float32', whole(data as Float32Array), dims)] as const;
  });
  return Object.fromEntries(tensors);
}

/**
 * Loads a bundle to run on onnxruntime-react-native. `source` is the address of the bundle's folder or `.whet` file, which is fetched, or a function that
 * reads its files. Where no `patterns` are named, the bundle's default alone is loaded. Throws {@link BundleError} naming the file that does not fit.
 *
 * Tested against a stand-in of that package's interface, and not on a phone.
 */
export function loadBundle(
  source: string | URL | ReadFile,
  { InferenceSession }: ReactNativeRuntime,
  options: ReactNativeLoadOptions = {},
): Promise<Bundle> {
  const { patterns = ({ defaultPattern }) => [defaultPattern], preload = true } = options;
  const { executionProviders = ['cpu'], threads } = options;
  const createSession = async (model: Uint8Array, weights?: ReadonlyMap<string, Uint8Array>, small = false) => {
    const own = new Map(Array.from(weights ?? [], ([path, data]) => [path, whole(data)]));
    const session = await InferenceSession.create(model, {
      executionProviders,
      graphOptimizationLevel: 'all',
      ...externalDataOption(own),
      ...(small ? { intraOpNumThreads: 1 } : threads ? { intraOpNumThreads: threads } : {}),
    });
    return sessionOf(
      session,
      (feeds) => session.run(ownFeeds(feeds)),
      () => session.release(),
    );
  };
  return Bundle.open({ ...readerOf(source, options, false), loops: true, createSession }, { preload, patterns });
}

export { Bundle, type OpenOptions } from './bundle.js';
export { BundleError, InputError, ProfileError } from './errors.js';
export { pixelsToTensor, type RgbaImage, resizePixels } from './pixels.js';
export { Profile } from './profile.js';
export type * from './types.js';
export type { DownloadProgress, ReadFile } from './web/fetch-files.js';
