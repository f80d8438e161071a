/**
 * How a bundle is written: the manifest's schema, safetensors files, and the names and rows of tensors. For what writes
 * bundles and profiles or reads their files, and what the runtime makes of graphs; to adapt and predict, none of it is needed.
 */
export { readArchive } from './archive.js';
export { asPictures, checkAlways, maySpare } from './as-pictures.js';
export { AUTO } from './auto-name.js';
export { blockConvolutions } from './blocked.js';
export { isArchive, isFileName } from './file-name.js';
export { labelKey, labelProblem, labelsProblem, MAX_LABEL_BYTES, sameLabels } from './label.js';
export { BUNDLE_SCHEMA, filesOf, manifestSchema, parseManifest } from './manifest.js';
export { mostRemembered, withoutMemory } from './memory.js';
export { type ObjectiveName, objectiveNames } from './objective.js';
export { oneHot } from './one-hot.js';
export { nextName, type OptimizerName, optimizerNames, optimizerStates, stateName } from './optimizer.js';
export { type StoredNumbers, storedNumbers } from './packed.js';
export { isSmall, momentNames } from './pattern.js';
export { type Policy, patternsOfAuto, policySchema, presetPatterns } from './policy.js';
export { FITS, GREYS, KERNELS, preprocessingSchema } from './preprocessing.js';
export { profileSize } from './profile-size.js';
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
export { type ScheduleName, scheduled, scheduleNames } from './schedule.js';
export { mismatchOf } from './schema.js';
export { viewMaker } from './views.js';
export { Weights } from './weights.js';
