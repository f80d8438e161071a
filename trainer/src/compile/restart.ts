import { type Graph, GraphBuilder, inline, makeTensor, type Value } from '@whet/compiler';
import type { SourceModel } from './read/read-model.js';

/** The same model with other start values of some of its parameters, by name. */
export function restarted(model: SourceModel, starts: ReadonlyMap<string, Float32Array>): SourceModel {
  if (starts.size === 0) return model;
  const g = new GraphBuilder();
  const parameters = model.parameters.map((parameter) => {
    const start = starts.get(parameter.name);
    return start ? { ...parameter, value: g.constant(makeTensor(parameter.shape, start), parameter.name) } : parameter;
  });
  const own = new Map(model.parameters.map((parameter) => [parameter.name, parameter]));
  const fresh = new Map(model.parameters.map((parameter, i) => [parameter, parameters[i] as typeof parameter]));
  return {
    ...model,
    parameters,
    sections: model.sections.map((section) => ({
      ...section,
      parameters: section.parameters.map((parameter) => fresh.get(parameter) ?? parameter),
    })),
    restarted: new Set(starts.keys()),
    featureGraph: (moving) => {
      const names = new Set(moving.map(({ name }) => name));
      const still = [...starts].filter(([name]) => !names.has(name));
      const wanted = [...names, ...still.map(([name]) => name)];
      const whole = model.featureGraph(wanted.map((name) => own.get(name) as (typeof parameters)[number]));
      return bindStill(whole, new Map(still));
    },
  };
}

/** A graph in which some inputs are constants. */
function bindStill(graph: Graph, values: ReadonlyMap<string, Float32Array>): Graph {
  const g = new GraphBuilder();
  const bindings = new Map<Value, Value>();
  const inputs: Value[] = [];
  for (const input of graph.inputs) {
    const value = values.get(input.name);
    if (value) {
      bindings.set(input, g.constant(makeTensor(input.shape as number[], value), input.name));
      continue;
    }
    const copy = g.input(input.name, input.shape, input.dtype);
    bindings.set(input, copy);
    inputs.push(copy);
  }
  return { name: graph.name, inputs, outputs: inline(g, graph, bindings) };
}
