import type { ReasonMessages, WrittenMany, WrittenViews } from './reasons.js';

const ofViews = (of: WrittenViews) =>
  `Ansichten der Beispiele haben einen Verlust von ${of.loss}${of.leavesNothing ? ', da bleibt nichts zu lernen' : ''}`;
const ofMany = ({ most, count }: WrittenMany) =>
  `nach einem Kopf wird für höchstens ${most} Beispiele und Ansichten aufgelöst, und es sind ${count}: jede Klasse ist ihr Mittel`;
const budget = (time: string) => `die ${time}, die es gab`;

/** Why no step was taken, or what `auto` chose by, in German. */
export const deReasons: ReasonMessages = {
  views: ofViews,
  'start-is-best': (of) => `${ofViews(of)}: der Kopf ist am besten, wie er beginnt`,
  'too-many': ofMany,
  'views-too-many': (of) => `${ofViews(of)}; ${ofMany(of)}`,
  'head-of-views': (of) => `${ofViews(of)}: der Kopf ist auch aus Ansichten von ihnen allen`,
  'tried-head-of-views': (of) => `${ofViews(of)}, auch aus ihnen wurde ein Kopf gemacht`,
  'not-loaded': (of) => `${ofViews(of)}; „${of.pattern}“ ist nicht geladen`,
  steps: (of) => `${ofViews(of)}: Schritte von „${of.pattern}“`,
  'steps-over-budget': (of) => `${ofViews(of)}: Schritte von „${of.pattern}“ dauern länger als ${budget(of.budgetMs)}`,
  'steps-can-learn': (of) => `${ofViews(of)}, daraus können Schritte lernen`,
  'nothing-to-ask': () => 'es gibt nichts zu fragen: ein Beispiel von jeder Klasse und keine Ansichten',
  'no-steps-wanted': () => 'es sollten keine Schritte sein',
  'budget-spent': ({ budgetMs }) => `${budget(budgetMs)}, sind um`,
  'over-budget': ({ pattern, budgetMs }) =>
    `„${pattern}“ dauert länger, als von den ${budgetMs}, die es gab, noch bleibt`,
  'gains-too-little': ({ pattern }) => `zurückgehaltene Beispiele gewinnen durch „${pattern}“ zu wenig`,
  gains: ({ pattern }) => `„${pattern}“ bringt etwas, und mehr bewegt keins`,
  'no-steps-gain': () => 'keine Schritte bringen etwas',
  'would-forget': ({ classes }) =>
    `Schritte mit Beispielen nur anderer Klassen ließen es ${classes} seiner Klassen vergessen: jede Klasse ist ihr Mittel`,
};
