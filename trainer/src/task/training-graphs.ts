import {
  batchGraph,
  copyInputs,
  type Graph,
  GraphBuilder,
  gradients,
  inline,
  int64s,
  simplify,
  type Value,
} from '@whet/compiler';
import { buildTask, type TaskSettings } from './task-graph.js';

/** Outputs: `loss`, `logits`, `grad/<meta-parameter>`, and the support moments `<normalization>.mean@support`, ... */
export function metaGradientGraph(settings: TaskSettings): Graph {
  const task = buildTask(settings);
  const names = [...task.meta.keys()];
  const found = gradients(task.builder, task.outerLoss, [...task.meta.values()]);
  const outputs = new Map<string, Value>([
    ['loss', task.queryLoss],
    ['logits', task.queryLogits],
  ]);
  names.forEach((name, i) => {
    const gradient = found[i];
    if (gradient) outputs.set(`grad/${name}`, gradient);
  });
  for (const [name, { mean, variance }] of task.supportMoments) {
    outputs.set(`${name}.mean@support`, mean);
    outputs.set(`${name}.variance@support`, variance);
  }
  return simplify({ name: `meta-gradient/${settings.rule.name}`, inputs: task.inputs, outputs }).graph;
}

const TASK_INPUTS: ReadonlySet<string> = new Set(['support', 'supportLabels', 'query', 'queryLabels']);

/**
 * {@link metaGradientGraph} for `tasks` tasks at once: what belongs to a task has a leading task axis, and each
 * `grad/...` is summed over the tasks.
 */
export function taskBatchGraph(settings: TaskSettings, tasks: number): Graph {
  const one = metaGradientGraph(settings);
  if (tasks === 1) return one;
  const many = batchGraph(one, tasks, TASK_INPUTS);
  const g = new GraphBuilder();
  const inputs = copyInputs(g, many);
  const copies = inline(g, many, inputs);
  const sum = (value: Value) => g.apply('ReduceSum', [value, g.constant(int64s([0]))], { keepdims: 0 });
  const outputs = [...copies].map(([name, value]) => [name, name.startsWith('grad/') ? sum(value) : value] as const);
  return { name: one.name, inputs: [...inputs.values()], outputs: new Map(outputs) };
}

/** Outputs: `logits` of the query set after adaptation, and `loss`. */
export function evaluationGraph(settings: TaskSettings): Graph {
  const task = buildTask({ ...settings, order: 1, stepLosses: false });
  const outputs = new Map([
    ['logits', task.queryLogits],
    ['loss', task.queryLoss],
  ]);
  return simplify({ name: `evaluation/${settings.rule.name}`, inputs: task.inputs, outputs }).graph;
}
