export { Bundle, type OpenOptions } from './bundle.js';
export { BundleError, InputError, ProfileError } from './errors.js';
export type { FreezeOptions } from './freeze.js';
export type { Manifest, Measurement, PatternManifest } from './manifest.js';
export type { PredictionRequest } from './predict.js';
export type { Preprocessing } from './preprocessing.js';
export { Profile, type ProfileValue, readProfile } from './profile.js';
export type { BundleSource } from './source.js';
export type * from './types.js';
