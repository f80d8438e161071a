import { enReasons } from './en-reasons.js';

/** What stands under *For engineers*, in English. What the model's files say of themselves is English in all languages. */
export const enEngineers = {
  about: 'Your examples choose: what they gain by moving, or nothing where no steps help.',
  pattern: 'Pattern: what may move',
  preset: (name: string) => `${name} (default)`,
  adaptAgain: 'Adapt again',
  trying: 'Trying patterns',
  step: (number: number) => `Step ${number}`,
  isOlder: 'The model is newer than what this profile learned.',

  // What came of it
  unseenRight: (right: number, asked: number) => `${right} of ${asked} right when not seen`,
  tookSteps: (steps: number, pattern: string) => `Took ${steps} steps of ${pattern}`,
  solved: 'Solved for the head',
  spared: (pattern: string) => `Took no steps of ${pattern}, solved for the head`,
  noSteps: 'Took no steps',
  reasons: enReasons,
  tried: 'tried',
  steps: 'steps',
  right: 'right',
  loss: 'loss',
  start: 'start',
  withViews: (pattern: string, views: number) => `${pattern}, ${views} views`,
  rightOf: (right: number, asked: number) => `${right} of ${asked}`,
  rightOfViews: (right: number, asked: number) => `${right} of ${asked} views`,
  lossLabel: (first: string, last: string, steps: number) =>
    `Loss of the examples: ${first} before step 1, ${last} before step ${steps}`,
  lossCaption: (first: string, last: string) => `Loss of the examples before each step: ${first} to ${last}`,

  // Times
  adaptedIn: 'Adapted in',
  encoded: (time: string, count: number) => `${time} to encode ${count} examples`,
  encodedBefore: (count: number) => `${count} examples were encoded before`,
  forTrials: (time: string, steps: number) => `${time} to try patterns and take ${steps} steps`,
  forSteps: (time: string, steps: number) => `${time} for ${steps} steps`,
  forHead: (time: string) => `${time} for the head`,
  speedUp: 'Speed-up',
  weightsOf: (pattern: string) => `the weights of “${pattern}”`,
  everything: 'everything',
  measuring: 'Measuring',
  measure: (all: string) => `Measure moving ${all}`,
  overMoving: (all: string, time: string) => `over moving ${all}, ${time} here`,
  measuringFailed: 'Measuring failed.',
  kept: 'Kept',
  keptHere: (pattern: string) => `on this device, by pattern ${pattern}`,

  // Comparing
  compareTitle: 'Compare patterns',
  compareAbout:
    'Examples are predicted by a profile that was adapted without them, for each pattern. Those that move more fetch more of the model.',
  patterns: 'Patterns',
  compare: 'Compare',
  cancel: 'Cancel',
  compareNeeds: 'Two classes, one of them of two examples, are needed.',
  comparingOn: (name: string) => `Comparing on “${name}”`,
  deletedProfile: 'a deleted profile',
  comparedSoFar: (done: number, all: number) => `${done} of ${all} patterns`,
  compared: (patterns: number, examples: number) => `Compared ${patterns} patterns on ${examples} examples.`,
  comparingFailed: 'Comparing failed.',
  results: 'Compared patterns',
  columns: ['pattern', 'held back, right', 'adapt', 'kept'] as readonly string[],

  // What computes
  runtime: 'Runtime',
  computesOn: 'Computes on',
  faster: 'what is faster here',
  now: (backend: string) => `Now ${backend}`,
  threads: (count: number) => (count === 1 ? '1 thread' : `${count} threads`),
  loadedIn: (load: number, warm: number) => `Loaded in ${load} ms, warm after ${warm} ms more.`,
  lastPrediction: (time: string) => `Last prediction ${time}.`,
  frames: (rate: string) => `Camera ${rate} frames a second.`,
  gpuLost: 'WebGPU was lost. WebAssembly went on from there.',
  gpuFails: 'WebGPU does not work here. WebAssembly is used.',
};

export type EngineersMessages = typeof enEngineers;
