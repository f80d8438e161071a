import type { ExternalReader } from '../tensors.js';
import { attentionReadings } from './attention.js';
import { constants } from './constants.js';
import { convolution } from './convolution.js';
import { elementwiseLowerings } from './elementwise.js';
import { linearAlgebra } from './linear-algebra.js';
import type { Reading } from './node-context.js';
import { normalization } from './normalization.js';
import { placeReadings } from './places.js';
import { quantization } from './quantization.js';
import { reductions } from './reductions.js';
import { resizing } from './resize.js';
import { shapes } from './shapes.js';
import { slicing } from './slicing.js';

/**
 * How each operator of ONNX (operator sets 7 to 24) is written in the graph's own, once: attributes that later became
 * inputs, defaults that changed, and operators that others can say. External data of constants is read through
 * `external`; quantized activations are read only if they may pass straight through.
 */
export function readings(external?: ExternalReader, straightThrough = false): ReadonlyMap<string, Reading> {
  return new Map<string, Reading>(
    Object.entries({
      ...attentionReadings,
      ...constants(external),
      ...convolution,
      ...elementwiseLowerings,
      ...linearAlgebra,
      ...normalization,
      ...placeReadings,
      ...quantization(straightThrough),
      ...reductions,
      ...resizing,
      ...shapes,
      ...slicing,
    }),
  );
}
