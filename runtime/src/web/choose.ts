import type { Bundle } from '../bundle.js';
import type { Example, Prediction } from '../types.js';
import { findAdapter } from './adapter.js';
import { ortVersion } from './wasm.js';

/** What runs a bundle's graphs in a page. */
export type WebBackend = 'wasm' | 'webgpu';

/** Which backend was taken, and why. */
export interface BackendChoice {
  readonly backend: WebBackend;
  /** Threads of WebAssembly. */
  readonly threads: number;
  /** A sentence for people. */
  readonly reason: string;
  /** What was measured, ms: see `tryBundle`; absent where there was nothing to compare. */
  readonly milliseconds?: Readonly<Partial<Record<WebBackend, number>>>;
}

/** Where a choice is remembered, such as `localStorage` or a map. */
export interface ChoiceMemory {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<unknown>;
}

const [WAYS, SHOTS, QUERIES, REPEATS] = [5, 5, 10, 3];
/** Probabilities that differ by more are not the same result: the WebGPU of some drivers computes wrongly. */
const TOLERANCE = 1e-3;

/** Images that differ from class to class, the same on every call. */
function madeUpImages(bundle: Bundle, count: number, offset: number): Float32Array[] {
  return Array.from({ length: count }, (_, i) => {
    const [a, b] = [1 + ((i + offset) % WAYS), Math.floor((i + offset) / WAYS)];
    return Float32Array.from({ length: bundle.imageLength }, (_, at) => 0.5 + 0.5 * Math.sin(at * 0.11 * a + 0.4 * b));
  });
}

/** What a bundle makes of made-up images, and the median ms of adapting to 5 classes of 5 and of predicting ten, one by one. */
export async function tryBundle(bundle: Bundle): Promise<{ milliseconds: number; probabilities: number[] }> {
  const examples: Example[] = madeUpImages(bundle, WAYS * SHOTS, 0).map((image, i) => ({
    label: bundle.labels?.[(i % WAYS) % bundle.labels.length] ?? `class ${i % WAYS}`,
    image,
  }));
  const queries = madeUpImages(bundle, QUERIES, WAYS * SHOTS);
  const times: number[] = [];
  let predictions: Prediction[] = [];
  // The first time compiles shaders and warms caches, and does not count.
  for (let repeat = 0; repeat <= REPEATS; repeat++) {
    const began = performance.now();
    const { profile } = await bundle.adapt(examples, { always: true });
    predictions = [];
    for (const image of queries) predictions.push(...(await bundle.predict(profile, [image])));
    if (repeat > 0) times.push(performance.now() - began);
  }
  const milliseconds = times.sort((a, b) => a - b)[Math.floor(REPEATS / 2)] as number;
  return { milliseconds, probabilities: predictions.flatMap(({ probabilities }) => Object.values(probabilities)) };
}

/** Measures both and says which is to be taken: WebGPU where it computes the same in less time. */
export async function compareBundles(wasm: Bundle, webgpu: Bundle, threads: number): Promise<BackendChoice> {
  const [one, other] = [await tryBundle(wasm), await tryBundle(webgpu)];
  const milliseconds = { wasm: one.milliseconds, webgpu: other.milliseconds };
  const difference = Math.max(...one.probabilities.map((p, i) => Math.abs(p - (other.probabilities[i] ?? Number.NaN))));
  if (!(difference <= TOLERANCE)) {
    const reason = `WebGPU computes something else here: probabilities differ by ${difference.toPrecision(2)}`;
    return { backend: 'wasm', threads, reason, milliseconds };
  }
  const times = `measured ${milliseconds.wasm.toFixed(1)} ms on WebAssembly, ${milliseconds.webgpu.toFixed(1)} ms on WebGPU`;
  return { backend: other.milliseconds < one.milliseconds ? 'webgpu' : 'wasm', threads, reason: times, milliseconds };
}

/** Opens what is faster here, by memory or by measuring. */
export async function openFaster(
  openWasm: () => Promise<Bundle>,
  openGpu: () => Promise<Bundle>,
  threads: number,
  memory: ChoiceMemory | undefined,
): Promise<{ bundle: Bundle; choice: BackendChoice }> {
  const adapter = await findAdapter();
  const wasm = await openWasm();
  if (!adapter || adapter.software) {
    const reason = adapter ? `${adapter.name} computes on the CPU` : 'this browser offers no GPU';
    return { bundle: wasm, choice: { backend: 'wasm', threads, reason } };
  }
  const key = `whet backend: ${ortVersion}, ${threads} threads, ${adapter.name}, ${wasm.digest}`;
  const remembered = readChoice(await memory?.get(key));
  if (remembered?.backend === 'wasm') return { bundle: wasm, choice: remembered };
  let gpu: Bundle | undefined;
  try {
    gpu = await openGpu();
    const choice = remembered ?? (await compareBundles(wasm, gpu, threads));
    await memory?.set(key, choice);
    const [taken, left] = choice.backend === 'webgpu' ? [gpu, wasm] : [wasm, gpu];
    await left.release();
    return { bundle: taken, choice };
  } catch (cause) {
    await gpu?.release();
    const reason = `WebGPU does not work here: ${(cause as Error).message}`;
    return { bundle: wasm, choice: { backend: 'wasm', threads, reason } };
  }
}

/** A remembered choice, if it is one. */
function readChoice(value: unknown): BackendChoice | undefined {
  const { backend, threads, reason } = (value ?? {}) as Partial<BackendChoice>;
  if ((backend !== 'wasm' && backend !== 'webgpu') || typeof threads !== 'number' || typeof reason !== 'string') return;
  return value as BackendChoice;
}
