import type { OnnxModel } from '@whet/compiler';
import type { ModelParameter } from './model-parameters.js';

/** Names that the graphs of a bundle or of a task use themselves, or that files of weights or objects keep for themselves. */
const RESERVED =
  /^(images|features|labels|rate|loss|probabilities|support|supportLabels|query|queryLabels|stepWeights|__metadata__)$|^(head\.|kept\.|mask\/|rate\/|grad\/)|@next$|\.(mean|variance|mask)$/;

const isReserved = (name: string): boolean => RESERVED.test(name) || name in Object.prototype;

/** `name` where it is free, else `model/name`, or one that begins so. */
function freeName(name: string, taken: ReadonlySet<string>): string {
  if (!isReserved(name)) return name;
  const base = `model/${name.replace(/@next$/, '_next').replace(/\.(mean|variance|mask)$/, '_$1')}`;
  let free = base;
  for (let suffix = 1; taken.has(free); suffix++) free = `${base}_${suffix}`;
  return free;
}

const namesOf = ({ nodes, inputs, initializers }: OnnxModel): string[] => [
  ...nodes.flatMap(({ outputs }) => outputs),
  ...[...inputs, ...initializers].map(({ name }) => name),
];

/** The parameters, none of them or their layers called as graphs call something else. */
export function withSafeNames(parameters: readonly ModelParameter[], model: OnnxModel): ModelParameter[] {
  const taken = new Set(namesOf(model));
  return parameters.map((parameter) => {
    const name = freeName(parameter.tensor, taken);
    taken.add(name);
    return { ...parameter, name, layer: parameter.layer === 'head' ? 'model/head' : parameter.layer };
  });
}
