// Why steps were spared, and why `auto` chose what it chose: as data, for those who say it in other words, and in English.

/** What views of the examples said, by how hard they are to tell apart at the start. */
export interface OfViews {
  /** Their cross-entropy. */
  readonly loss: number;
  /** Whether the network tells them apart already, so that steps have nothing to learn. */
  readonly leavesNothing: boolean;
}

/** More examples and views than a head in closed form is made of. */
export interface TooMany {
  readonly most: number;
  readonly count: number;
}

interface Reasons {
  views: OfViews;
  'start-is-best': OfViews;
  'too-many': TooMany;
  'views-too-many': OfViews & TooMany;
  /** A head of views of all examples was made, as the policy said, or was tried besides. */
  'head-of-views': OfViews;
  'tried-head-of-views': OfViews;
  /** What the policy said is a pattern that was not loaded, or steps of one, which may have taken too long. */
  'not-loaded': OfViews & { readonly pattern: string };
  steps: OfViews & { readonly pattern: string };
  'steps-over-budget': OfViews & { readonly pattern: string; readonly budgetMs: number };
  'steps-can-learn': OfViews;
  'nothing-to-ask': object;
  'no-steps-wanted': object;
  'budget-spent': { readonly budgetMs: number };
  /** By trials: what took too long, gained too little, or gained as the last. */
  'over-budget': { readonly pattern: string; readonly budgetMs: number };
  'gains-too-little': { readonly pattern: string };
  gains: { readonly pattern: string };
  'no-steps-gain': object;
  /** Classes of the profile that was gone on from, of which the examples have none. */
  'would-forget': { readonly classes: number };
}

/** A reason by its code, with its numbers: losses in nats, budgets in milliseconds. */
export type Reason = { [Code in keyof Reasons]: { readonly code: Code } & Reasons[Code] }[keyof Reasons];

const ms = (milliseconds: number): string => `${Math.round(milliseconds)} ms`;
const ofViews = ({ loss, leavesNothing }: OfViews): string =>
  `views of the examples have a loss of ${loss.toFixed(3)}${leavesNothing ? ', which leaves nothing to learn' : ''}`;
const ofMany = ({ most, count }: TooMany): string =>
  `a head in closed form is made of ${most} examples and views at most, and these are ${count}: each class is its mean direction`;

const english: { readonly [Code in keyof Reasons]: (of: Reasons[Code]) => string } = {
  views: ofViews,
  'start-is-best': (of) => `${ofViews(of)}: the head is best as it starts`,
  'too-many': ofMany,
  'views-too-many': (of) => `${ofViews(of)}; ${ofMany(of)}`,
  'head-of-views': (of) => `${ofViews(of)}: a head of views of all of them too`,
  'tried-head-of-views': (of) => `${ofViews(of)}, of which a head was made too`,
  'not-loaded': (of) => `${ofViews(of)}; "${of.pattern}" is not loaded`,
  steps: (of) => `${ofViews(of)}: steps of "${of.pattern}"`,
  'steps-over-budget': (of) =>
    `${ofViews(of)}: steps of "${of.pattern}", which take more than the budget of ${ms(of.budgetMs)}`,
  'steps-can-learn': (of) => `${ofViews(of)}, from which steps can learn`,
  'nothing-to-ask': () => 'there is nothing to ask about: one example of each class, and no views',
  'no-steps-wanted': () => 'no steps were asked for',
  'budget-spent': ({ budgetMs }) => `the budget of ${ms(budgetMs)} is spent`,
  'over-budget': ({ pattern, budgetMs }) => `"${pattern}" takes more than is left of the budget of ${ms(budgetMs)}`,
  'gains-too-little': ({ pattern }) => `examples that were held back gain too little by "${pattern}"`,
  gains: ({ pattern }) => `"${pattern}" gains, and nothing moves more`,
  'no-steps-gain': () => 'no steps gain',
  'would-forget': ({ classes }) =>
    `steps on examples of other classes alone would make it forget ${classes} of its classes: each class is its mean direction`,
};

/** A reason in English. */
export function sayReason(reason: Reason): string {
  const say = english[reason.code] as (of: Reason) => string;
  return say(reason);
}
