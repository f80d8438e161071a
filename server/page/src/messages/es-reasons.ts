import type { ReasonMessages, WrittenMany, WrittenViews } from './reasons.js';

const ofViews = (of: WrittenViews) =>
  `las vistas de los ejemplos tienen una pérdida de ${of.loss}${of.leavesNothing ? ', no queda nada que aprender' : ''}`;
const ofMany = ({ most, count }: WrittenMany) =>
  `una cabeza se resuelve con un máximo de ${most} ejemplos y vistas, y estos son ${count}: cada clase es su media`;
const budget = (time: string) => `los ${time} que había`;

/** Why no step was taken, or what `auto` chose by, in Spanish. */
export const esReasons: ReasonMessages = {
  views: ofViews,
  'start-is-best': (of) => `${ofViews(of)}: la cabeza es mejor tal como empieza`,
  'too-many': ofMany,
  'views-too-many': (of) => `${ofViews(of)}; ${ofMany(of)}`,
  'head-of-views': (of) => `${ofViews(of)}: la cabeza es también de vistas de todos`,
  'tried-head-of-views': (of) => `${ofViews(of)}, de ellas también se hizo una cabeza`,
  'not-loaded': (of) => `${ofViews(of)}; «${of.pattern}» no está cargado`,
  steps: (of) => `${ofViews(of)}: pasos de «${of.pattern}»`,
  'steps-over-budget': (of) => `${ofViews(of)}: los pasos de «${of.pattern}» duran más que ${budget(of.budgetMs)}`,
  'steps-can-learn': (of) => `${ofViews(of)}, de ellas pueden aprender los pasos`,
  'nothing-to-ask': () => 'no hay nada que preguntar: un ejemplo de cada clase y ninguna vista',
  'no-steps-wanted': () => 'no se pidió ningún paso',
  'budget-spent': ({ budgetMs }) => `se acabaron ${budget(budgetMs)}`,
  'over-budget': ({ pattern, budgetMs }) => `«${pattern}» dura más que lo que queda de ${budget(budgetMs)}`,
  'gains-too-little': ({ pattern }) => `los ejemplos apartados ganan muy poco con «${pattern}»`,
  gains: ({ pattern }) => `«${pattern}» mejora, y ninguno mueve más`,
  'no-steps-gain': () => 'ningún paso mejora',
  'would-forget': ({ classes }) =>
    `los pasos con ejemplos solo de otras clases harían olvidar ${classes} de sus clases: cada clase es su media`,
};
