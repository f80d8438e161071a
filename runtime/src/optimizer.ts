/** What a step graph keeps of each value from one step to the next, by optimizer: inputs `<value>@<state>`, 0 at first. */
export const optimizerStates = {
  sgd: [],
  momentum: ['m'],
  adam: ['m', 'v'],
  rms: [],
} as const satisfies Record<string, readonly string[]>;

export type OptimizerName = keyof typeof optimizerStates;

export const optimizerNames = Object.keys(optimizerStates) as [OptimizerName, ...OptimizerName[]];

/** The name of an optimizer's state of a value, in graphs. */
export const stateName = (value: string, state: string): string => `${value}@${state}`;

/** The name a step graph gives a value after the step. */
export const nextName = (name: string): string => `${name}@next`;

/** Whether a step graph reads the number of the step. */
export const countsSteps = (optimizer: OptimizerName): boolean => optimizer === 'adam';
