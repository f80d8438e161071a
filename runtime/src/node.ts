import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { InferenceSession } from 'onnxruntime-common';
import * as ort from 'onnxruntime-node';
import { Bundle } from './bundle.js';
import { BundleError } from './errors.js';

export interface LoadOptions {
  /** Threads inside an operator; onnxruntime's default (one per core) when absent. */
  readonly threads?: number;
}

/**
 * Loads a bundle from a folder, to run on onnxruntime-node. Checks the digests of all files and the tensor names of all
 * graphs; throws {@link BundleError} naming the file that does not fit.
 */
export function loadBundle(directory: string, options: LoadOptions = {}): Promise<Bundle> {
  return Bundle.open({
    location: directory,
    read: async (path) => {
      try {
        return await readFile(join(directory, path));
      } catch (cause) {
        throw new BundleError(`${join(directory, path)}: cannot be read: ${(cause as Error).message}`, { cause });
      }
    },
    createSession: (model) =>
      ort.InferenceSession.create(model, {
        executionProviders: ['cpu'],
        graphOptimizationLevel: 'all',
        ...(options.threads ? { intraOpNumThreads: options.threads } : {}),
      }) as Promise<InferenceSession>,
  });
}

export { Bundle } from './bundle.js';
export { BundleError, InputError, ProfileError } from './errors.js';
export type { PredictionRequest } from './predict.js';
export type { AdaptOptions, AdaptResult, AdaptTimings, Example, Prediction } from './types.js';
