import { createRequire } from 'node:module';
import type * as Ort from 'onnxruntime-node';
import { MissingPackageError } from './missing-package.js';

/** The script of onnxruntime-node downloads libraries for CUDA, which nothing here uses. */
const INSTALL =
  'npm install --ignore-scripts onnxruntime-node, or with ONNXRUNTIME_NODE_INSTALL=skip in the environment';

function load(): typeof Ort {
  try {
    return createRequire(import.meta.url)('onnxruntime-node') as typeof Ort;
  } catch (error) {
    return MissingPackageError.of('onnxruntime-node', '@whet/runtime/node', INSTALL)(error);
  }
}

/** onnxruntime-node, an optional peer. Importing this throws {@link MissingPackageError} where it is not installed, or has no library for this machine. */
export const ort: typeof Ort = load();
