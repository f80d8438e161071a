import { nearestNames } from '../data/nearest-names.js';
import { CompileError } from './read/compile-error.js';
import type { ModelParameter } from './read/model-parameters.js';
import type { SourceModel } from './read/read-model.js';

/** What selections choose from. */
type Choices = Pick<SourceModel, 'parameters' | 'sections'>;

const matcherOf = (glob: string): RegExp =>
  new RegExp(`^${glob.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`, 's');

const movableOf = (parameters: readonly ModelParameter[]) => parameters.filter(({ moment }) => !moment);
const layersOf = (parameters: readonly ModelParameter[]) => [...new Set(parameters.map(({ layer }) => layer))];
const blocksOf = ({ sections }: Choices) => sections.filter(({ block }) => block !== undefined);

/** `last:1 to last:9`, or only the first where there is one; nothing where there is none. */
const upTo = (keyword: string, count: number): string[] => {
  if (count === 0) return [];
  return [count === 1 ? `${keyword}:1` : `${keyword}:1 to ${keyword}:${count}`];
};

/** Parameters of the last `count` layers. */
function lastLayers(selection: string, count: number, movable: readonly ModelParameter[]): ModelParameter[] {
  const layers = layersOf(movable);
  if (count < 1 || count > layers.length) {
    throw new CompileError(
      `"${selection}": the network has ${layers.length} layers below the head; expected last:1 up`,
    );
  }
  const last = new Set(layers.slice(-count));
  return movable.filter(({ layer }) => last.has(layer));
}

/** Parameters of the last `count` blocks, and of all that stands between and above them. */
function lastBlocks(selection: string, count: number, model: Choices): readonly ModelParameter[] {
  const blocks = blocksOf(model).length;
  if (blocks === 0) {
    const layers = upTo('last', layersOf(movableOf(model.parameters)).length);
    throw new CompileError(
      `"${selection}": the network has no blocks that repeat; choose ${[...layers, 'all'].join(' or ')}`,
    );
  }
  if (count < 1 || count > blocks) {
    const [expected] = upTo('blocks', blocks);
    throw new CompileError(`"${selection}": the network has ${blocks} blocks below the head; expected ${expected}`);
  }
  const first = model.sections.findIndex(({ block }) => block === count);
  return movableOf(model.sections.slice(first).flatMap(({ parameters }) => parameters));
}

/** Of a network without scales and shifts, why, and what else may move. */
function noNormalization(model: Choices): CompileError {
  const movable = movableOf(model.parameters);
  const folded = movable.filter(({ op, bias }) => bias && op.startsWith('Conv')).length;
  const choices = [
    ...(movable.some(({ bias }) => bias) ? ['bias'] : []),
    ...upTo('last', layersOf(movable).length),
    ...upTo('blocks', blocksOf(model).length),
  ];
  const why =
    folded === 0
      ? 'the network has no normalization'
      : `the file has no normalization: what the network had, the exporter folded into the ${folded} convolutions before it, ` +
        'whose weights and biases hold its scales and shifts';
  return new CompileError(`"norm" matches no parameter: ${why}; choose ${choices.join(', ')} or all`);
}

function select(selection: string, model: Choices): readonly ModelParameter[] {
  const { parameters } = model;
  const movable = movableOf(parameters);
  const exact = parameters.filter(({ tensor }) => tensor === selection);
  if (exact.some(({ moment }) => moment)) {
    throw new CompileError(`"${selection}" is a running mean or variance, which no step moves`);
  }
  if (exact.length > 0) return exact;
  if (selection === 'none') return [];
  const [, unit, count] = /^(last|blocks):(\d+)$/.exec(selection) ?? [];
  if (unit === 'last') return lastLayers(selection, Number(count), movable);
  if (unit === 'blocks') return lastBlocks(selection, Number(count), model);
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
  if (selection === 'norm') throw noNormalization(model);
  const nearest = nearestNames(
    selection.replaceAll('*', ''),
    movable.map(({ tensor }) => tensor),
  );
  throw new CompileError(
    `"${selection}" matches no parameter; nearest: ${nearest.join(', ')} ` +
      '(or last:N, blocks:N, bias, norm, all, none, or a pattern with *)',
  );
}

/**
 * The parameters that selections name: names in the file, globs (`*`), `last:N` layers below the head, `blocks:N` blocks below
 * the head with all that stands between and above them, `bias`, `norm`, `all`, `none`. In the network's order. Throws
 * {@link CompileError} for one that matches nothing, saying what there is.
 */
export function selectParameters(selections: readonly string[], model: Choices): readonly ModelParameter[] {
  const chosen = new Set(selections.flatMap((selection) => select(selection, model)));
  return model.parameters.filter((parameter) => chosen.has(parameter));
}
