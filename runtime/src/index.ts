export { isArchive, readArchive } from './archive.js';
export { Bundle, type OpenOptions } from './bundle.js';
export { BundleError, InputError, ProfileError } from './errors.js';
export {
  BUNDLE_SCHEMA,
  filesOf,
  type Manifest,
  type Measurement,
  manifestSchema,
  type PatternManifest,
  parseManifest,
} from './manifest.js';
export { oneHot } from './one-hot.js';
export { momentNames, nextName } from './pattern.js';
export type { PredictionRequest } from './predict.js';
export { type Preprocessing, preprocessingSchema } from './preprocessing.js';
export { Profile, type ProfileValue, readProfile } from './profile.js';
export {
  float32,
  readPlaces,
  readSafetensors,
  SafetensorsError,
  type SafetensorsFile,
  type StoredDType,
  type StoredTensor,
  storedTensor,
  writeSafetensors,
} from './safetensors.js';
export type { BundleSource } from './source.js';
export type * from './types.js';
export { Weights } from './weights.js';
