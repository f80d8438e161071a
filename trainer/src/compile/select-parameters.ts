import { nearestNames } from '../data/nearest-names.js';
import { CompileError } from './read/compile-error.js';
import type { ModelParameter } from './read/model-parameters.js';

const matcherOf = (glob: string): RegExp =>
  new RegExp(`^${glob.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`, 's');

/** Parameters of the last `count` layers. */
function lastLayers(selection: string, count: number, movable: readonly ModelParameter[]): ModelParameter[] {
  const layers = [...new Set(movable.map(({ layer }) => layer))];
  if (count < 1 || count > layers.length) {
    throw new CompileError(
      `"${selection}": the network has ${layers.length} layers below the head; expected last:1 up`,
    );
  }
  const last = new Set(layers.slice(-count));
  return movable.filter(({ layer }) => last.has(layer));
}

function select(selection: string, parameters: readonly ModelParameter[]): readonly ModelParameter[] {
  const movable = parameters.filter(({ moment }) => !moment);
  const exact = parameters.filter(({ tensor }) => tensor === selection);
  if (exact.some(({ moment }) => moment)) {
    throw new CompileError(`"${selection}" is a running mean or variance, which no step moves`);
  }
  if (exact.length > 0) return exact;
  if (selection === 'none') return [];
  const [, count] = /^last:(\d+)$/.exec(selection) ?? [];
  if (count !== undefined) return lastLayers(selection, Number(count), movable);
  const keywords: Readonly<Record<string, (parameter: ModelParameter) => boolean>> = {
    all: () => true,
    bias: ({ bias }) => bias,
    norm: ({ norm }) => norm,
  };
  const keyword = Object.hasOwn(keywords, selection) ? keywords[selection] : undefined;
  const glob = matcherOf(selection);
  const matched = movable.filter(keyword ?? (({ tensor }) => glob.test(tensor)));
  if (matched.length > 0) return matched;
  if (movable.length === 0) throw new CompileError(`"${selection}" matches nothing: the network has no parameters`);
  const nearest = nearestNames(
    selection.replaceAll('*', ''),
    movable.map(({ tensor }) => tensor),
  );
  throw new CompileError(
    `"${selection}" matches no parameter; nearest: ${nearest.join(', ')} ` +
      '(or last:N, bias, norm, all, none, or a pattern with *)',
  );
}

/**
 * The parameters that selections name: names in the file, globs (`*`), `last:N` layers below the head, `bias`, `norm`, `all`,
 * `none`. In the network's order. Throws {@link CompileError} for one that matches nothing, naming the nearest.
 */
export function selectParameters(
  selections: readonly string[],
  parameters: readonly ModelParameter[],
): readonly ModelParameter[] {
  const chosen = new Set(selections.flatMap((selection) => select(selection, parameters)));
  return parameters.filter((parameter) => chosen.has(parameter));
}
