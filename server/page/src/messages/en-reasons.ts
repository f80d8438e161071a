import type { ReasonMessages, WrittenMany, WrittenViews } from './reasons.js';

const ofViews = (of: WrittenViews) =>
  `views of the examples have a loss of ${of.loss}${of.leavesNothing ? ', which leaves nothing to learn' : ''}`;
const ofMany = ({ most, count }: WrittenMany) =>
  `a head is solved for at most ${most} examples and views, and these are ${count}: each class is its mean`;
const budget = (time: string) => `the ${time} that there were`;

/** Why no step was taken, or what `auto` chose by, in English. */
export const enReasons: ReasonMessages = {
  views: ofViews,
  'start-is-best': (of) => `${ofViews(of)}: the head is best as it starts`,
  'too-many': ofMany,
  'views-too-many': (of) => `${ofViews(of)}; ${ofMany(of)}`,
  'head-of-views': (of) => `${ofViews(of)}: the head is of views of all of them too`,
  'tried-head-of-views': (of) => `${ofViews(of)}, of which a head was made too`,
  'not-loaded': (of) => `${ofViews(of)}; “${of.pattern}” is not loaded`,
  steps: (of) => `${ofViews(of)}: steps of “${of.pattern}”`,
  'steps-over-budget': (of) => `${ofViews(of)}: steps of “${of.pattern}”, which take more than ${budget(of.budgetMs)}`,
  'steps-can-learn': (of) => `${ofViews(of)}, from which steps can learn`,
  'nothing-to-ask': () => 'there is nothing to ask about: one example of each class, and no views',
  'no-steps-wanted': () => 'no steps were asked for',
  'budget-spent': ({ budgetMs }) => `${budget(budgetMs)} are over`,
  'over-budget': ({ pattern, budgetMs }) => `“${pattern}” takes more than is left of ${budget(budgetMs)}`,
  'gains-too-little': ({ pattern }) => `examples that were held back gain too little by “${pattern}”`,
  gains: ({ pattern }) => `“${pattern}” gains, and nothing moves more`,
  'no-steps-gain': () => 'no steps gain',
  'would-forget': ({ classes }) =>
    `steps on examples of other classes alone would make it forget ${classes} of its classes: each class is its mean`,
};
