import { createRequire } from 'node:module';
import type * as Ort from 'onnxruntime-node';
import { MissingPackageError } from './missing-package.js';

/** The script of onnxruntime-node downloads libraries for CUDA, which nothing here uses. */
const INSTALL = 'ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node';

function load(): typeof Ort {
  try {
    return createRequire(import.meta.url)('onnxruntime-node') as typeof Ort;
  } catch (error) {
    return MissingPackageError.of('onnxruntime-node', '@whet/runtime/node', INSTALL)(error);
  }
}

/** onnxruntime-node, an optional peer. Importing this throws where it is not installed, or has no library for this machine. */
export const ort: typeof Ort = load();
