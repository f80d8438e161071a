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
import { enteringLayers } from './layer-values.js';
import { buildTask, innerParameters, type TaskSettings } from './task-graph.js';

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

/**
 * {@link evaluationGraph} that also tells the support loss before each inner step, `support@0`, ..., and what enters each layer of the query
 * pass, `entering/<layer>`.
 */
export function traceGraph(settings: TaskSettings): Graph {
  const task = buildTask({ ...settings, order: 1, stepLosses: false });
  const query = task.inputs.find(({ name }) => name === 'query') as Value;
  const parameters = innerParameters(settings).flatMap(({ name, layer }) => {
    const value = task.adapted.get(name);
    return value ? [[value, layer] as const] : [];
  });
  const outputs = new Map([
    ['logits', task.queryLogits],
    ['loss', task.queryLoss],
    ...task.supportLosses.map((loss, step) => [`support@${step}`, loss] as const),
    ...[...enteringLayers(task.queryLogits, query, new Map(parameters))].map(
      ([layer, value]) => [`entering/${layer}`, value] as const,
    ),
  ]);
  return simplify({ name: `trace/${settings.rule.name}`, inputs: task.inputs, outputs }).graph;
}
