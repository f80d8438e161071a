export { bytes, formatTable, milliseconds, percent } from './format.js';
export { type Progress, startProgress } from './progress.js';
