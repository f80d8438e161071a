import type { CompileOptions, StepOptions } from './compile-options.js';
import type { ModelParameter } from './read/model-parameters.js';

type Steps = StepOptions & Required<Pick<StepOptions, 'steps' | 'rate' | 'optimizer' | 'objective'>>;

/**
 * Where classes are made of the examples and something below them moves. Labels are smoothed, as a step that makes examples ever surer makes
 * others less so.
 */
const PROTOTYPES: Steps = {
  steps: 10,
  rate: 0.001,
  optimizer: 'adam',
  objective: 'prototypes',
  smoothing: 0.1,
  views: 6,
};
/** Where a head of directions alone moves, and goes on from a profile: else it is solved for. */
const COSINES: Steps & { readonly views: number } = {
  steps: 40,
  rate: 0.01,
  optimizer: 'adam',
  objective: 'head',
  views: 6,
};
const OTHERS: Steps = { steps: 5, rate: 0.01, optimizer: 'sgd', objective: 'head' };

function defaultsOf({ head = 'cosine', objective = 'prototypes' }: CompileOptions, moves: boolean): Steps {
  if (head !== 'keep' && moves && objective === 'prototypes') return PROTOTYPES;
  if (head === 'keep' || moves) return OTHERS;
  return head === 'cosine' ? COSINES : { ...OTHERS, views: COSINES.views };
}

/**
 * How a pattern's steps are made: as asked for, and else as paid on photographs, hand signs and characters (docs/compile.md). Where only
 * the head moves, or it is the model's own, there are no prototypes that could move.
 */
export function stepOptions(options: CompileOptions, moving: readonly ModelParameter[]): Steps {
  const defaults = defaultsOf(options, moving.length > 0);
  const { objective } = defaults;
  const { steps = defaults.steps, optimizer = defaults.optimizer, decay, schedule } = options;
  const { smoothing = defaults.smoothing } = options;
  const { rate = optimizer === defaults.optimizer ? defaults.rate : OTHERS.rate, views = defaults.views } = options;
  return {
    ...{ steps, rate, optimizer, objective },
    ...(views && (objective === 'prototypes' || defaults.views) ? { views } : {}),
    ...(smoothing ? { smoothing } : {}),
    ...(decay ? { decay } : {}),
    ...(schedule ? { schedule } : {}),
  };
}
