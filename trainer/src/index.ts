export { anil, type InnerParameter, maml, type Rule, rules, sparseMaml } from './rules.js';
export {
  buildTask,
  evaluationGraph,
  type MetaParameters,
  metaGradientGraph,
  metaParameters,
  type NormalizationMode,
  type TaskSettings,
  type TaskValues,
} from './task-graph.js';
