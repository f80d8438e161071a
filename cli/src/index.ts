export { besidePeers, bothTimes } from './bench/peers.js';
export { loadData, openData, recogniseData } from './data.js';
export { bytes, formatTable, milliseconds, percent, signed } from './format.js';
export { readNamedModel } from './model-file.js';
export { whetProgram } from './program.js';
export { type Progress, startProgress } from './progress.js';
export { runCommand } from './run.js';
