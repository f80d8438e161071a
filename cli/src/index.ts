export { bytes, formatTable, milliseconds, percent } from './format.js';
export { whetProgram } from './program.js';
export { type Progress, startProgress } from './progress.js';
export { runCommand } from './run.js';
