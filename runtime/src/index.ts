export { BundleError, InputError, ProfileError } from './errors.js';
export { type Preprocessing, preprocessingSchema } from './preprocessing.js';
export {
  float32,
  readSafetensors,
  SafetensorsError,
  type SafetensorsFile,
  type StoredTensor,
  writeSafetensors,
} from './safetensors.js';
export type { AdaptOptions, AdaptResult, AdaptTimings, Example, Prediction } from './types.js';
