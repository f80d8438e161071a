/**
 * What the loss of a step is of. `head`: the head's logits of the examples. `prototypes`: logits by prototypes that are made anew in
 * every step, each example asked about with those that it is no part of; the head follows from them after the last step.
 */
export const objectiveNames = ['head', 'prototypes'] as const;

export type ObjectiveName = (typeof objectiveNames)[number];
