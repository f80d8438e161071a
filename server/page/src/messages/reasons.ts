import type { Reason } from '@whet/runtime/web';

/** A reason whose loss and time are written as the language that is shown writes them. */
type Written<R> = { readonly [Field in keyof R]: Field extends 'loss' | 'budgetMs' ? string : R[Field] };

/** Why no step was taken, or what `auto` chose by: what says each reason in a language. */
export type ReasonMessages = {
  readonly [Code in Reason['code']]: (of: Written<Extract<Reason, { code: Code }>>) => string;
};

/** What views of the examples said, and how many are too many to solve for. */
export type WrittenViews = Omit<Parameters<ReasonMessages['views']>[0], 'code'>;
export type WrittenMany = Omit<Parameters<ReasonMessages['too-many']>[0], 'code'>;
