import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { InferenceSession } from 'onnxruntime-common';
import { readArchive } from './archive.js';
import { blockSize } from './block-size.js';
import { blockConvolutions } from './blocked.js';
import { Bundle, type OpenOptions } from './bundle.js';
import { readChecked, unshared } from './bundle-files.js';
import { BundleError } from './errors.js';
import { isArchive } from './file-name.js';
import { type Manifest, parseManifest } from './manifest.js';
import { ort } from './ort-node.js';
import { type BundleSource, externalDataOption } from './source.js';
import { defaultThreads } from './threads.js';

export interface LoadOptions extends OpenOptions {
  /** Threads inside an operator; those of the environment variable `WHET_THREADS`, or one per core, when absent. Graphs of little work run on one. */
  readonly threads?: number;
  /**
   * `small` gives memory back after every run, for a fifth more time where many weights move; `fast`, when absent, keeps what an
   * adaptation took for the next (docs/bench/memory.md).
   */
  readonly memory?: 'fast' | 'small';
  /**
   * Whether threads inside an operator wait for more work by spinning, as long as a graph runs; true when absent. Without it they sleep: a
   * little slower by itself, and better where other work shares the cores.
   */
  readonly spinning?: boolean;
  /** Reads a file of the bundle by its path in it, in place of {@link openBundleFiles}; also into memory that threads share. */
  readonly read?: (path: string) => Promise<Uint8Array>;
}

/** The version of onnxruntime-node that runs the graphs. */
export const ortVersion: string = ort.env.versions.node ?? ort.env.versions.common;

/**
 * Reads the files of a bundle: a folder, or one `.whet` file. Throws {@link BundleError} naming the file that cannot be read,
 * each time one is asked for.
 */
export function openBundleFiles(place: string): (path: string) => Promise<Uint8Array> {
  const read = async (file: string) => {
    try {
      return await readFile(file);
    } catch (cause) {
      throw new BundleError(`${file}: cannot be read: ${(cause as Error).message}`, { cause });
    }
  };
  if (!isArchive(place)) return (path) => read(join(place, path));
  // Not held: a bundle that has loaded needs the archive no more, and reads it anew where a pattern is asked for later.
  let files: WeakRef<Promise<Map<string, Uint8Array>>> | undefined;
  return async (path) => {
    let reading = files?.deref();
    if (!reading) {
      reading = read(place).then((bytes) => readArchive(bytes, place));
      files = new WeakRef(reading);
    }
    const bytes = (await reading).get(path);
    if (!bytes) throw new BundleError(`${place}/${path}: cannot be read: it is not in the archive`);
    return bytes;
  };
}

/**
 * The manifest and all files that it lists, itself included, of a bundle in a folder or one `.whet` file. Throws
 * {@link BundleError} naming the file that does not fit.
 */
export async function readBundle(place: string): Promise<{ manifest: Manifest; contents: Map<string, Uint8Array> }> {
  const read = openBundleFiles(place);
  const text = await read('manifest.json');
  const manifest = parseManifest(new TextDecoder().decode(text), place);
  const files = await readChecked({ location: place, read }, Object.keys(manifest.files), manifest);
  return { manifest, contents: new Map([['manifest.json', text], ...files]) };
}

/**
 * Loads a bundle from a folder or one `.whet` file, to run on onnxruntime-node. Checks the digests of all files and the tensor names
 * of all graphs; throws {@link BundleError} naming the file that does not fit.
 */
export function loadBundle(place: string, options: LoadOptions = {}): Promise<Bundle> {
  return open(place, options.read ?? openBundleFiles(place), options);
}

/** The same of files in memory, by their paths in a bundle. */
export function loadBundleFiles(
  files: ReadonlyMap<string, Uint8Array>,
  options: Omit<LoadOptions, 'read'> = {},
): Promise<Bundle> {
  const read = async (path: string) => {
    const bytes = files.get(path);
    if (!bytes) throw new BundleError(`${path}: expected among ${files.size} files in memory, got nothing`);
    return bytes;
  };
  return open('memory', read, options);
}

function open(location: string, read: BundleSource['read'], options: LoadOptions): Promise<Bundle> {
  return Bundle.open(
    {
      location,
      loops: true,
      tune: tuneModel,
      read,
      createSession: (model, weights, small = false) => createSession(model, { ...options, small }, weights),
    },
    options,
  );
}

/** Channels of the smallest block that a processor has: what has none of these has none at all. */
const SMALLEST_BLOCK = 8;

/** A model that runs on many images at once, with convolutions of kernels that move as onnxruntime runs them fastest on this processor. */
export async function tuneModel(model: Uint8Array): Promise<Uint8Array> {
  if (blockConvolutions(model, SMALLEST_BLOCK) === model) return model;
  const block = await blockSize();
  return block > 0 ? blockConvolutions(model, block) : model;
}

/**
 * A session of an ONNX model on onnxruntime-node, as bundles run on; `weights` are the files beside it, by the names that it gives
 * them. One that is `small` has one thread. A bundle's graphs are checked before to name no other file: onnxruntime would read it.
 */
export async function createSession(
  model: Uint8Array,
  options: Pick<LoadOptions, 'threads' | 'memory' | 'spinning'> & { readonly small?: boolean } = {},
  weights?: ReadonlyMap<string, Uint8Array>,
): Promise<InferenceSession> {
  const threads = options.small ? 1 : (options.threads ?? defaultThreads());
  return ort.InferenceSession.create(unshared(model), {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    // A plan of one block for each number of examples: almost twice the memory, and no faster.
    enableMemPattern: false,
    enableCpuMemArena: options.memory !== 'small',
    ...externalDataOption(weights),
    ...(threads ? { intraOpNumThreads: threads } : {}),
    // Each session has threads of its own. Those that went on spinning after a run, as is onnxruntime's default, would take the cores from the
    // next session: encoding beside the steps would take twice the time.
    extra: {
      session: options.spinning === false ? { intra_op: { allow_spinning: '0' } } : { force_spinning_stop: '1' },
    },
  }) as Promise<InferenceSession>;
}

export { Bundle, type OpenOptions } from './bundle.js';
export { BundleError, InputError, ProfileError } from './errors.js';
export type { FreezeOptions } from './freeze.js';
export type { PredictionRequest } from './predict.js';
export { defaultThreads } from './threads.js';
export type * from './types.js';
