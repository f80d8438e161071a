import type { CompileReport, ModelParameter } from '@whet/trainer';
import { formatTable, percent } from './format.js';

/** How many numbers parameters have together. */
export const numbersOf = (parameters: readonly ModelParameter[]): number =>
  parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

const canMove = ({ moment, blocked }: ModelParameter): boolean => !moment && !blocked;

/** The patterns in which any of `parameters` moves, with what to say of those in which not all that can do. */
function movesIn(parameters: readonly ModelParameter[], { patterns }: CompileReport): string {
  const movable = parameters.filter(canMove);
  if (movable.length === 0) return 'never';
  const names = new Set(movable.map(({ name }) => name));
  return patterns
    .flatMap(({ name, moving }) => {
      const count = moving.filter((parameter) => names.has(parameter.name)).length;
      if (count === 0) return [];
      return count < movable.length ? `${name} (in part)` : name;
    })
    .join(' ');
}

/** Every parameter, with what moves it. */
export function parameterTable(report: CompileReport): string[] {
  const rows = report.model.parameters.map((parameter) => [
    parameter.name === parameter.tensor ? parameter.name : `${parameter.tensor} (in the bundle ${parameter.name})`,
    `[${parameter.shape.join(', ')}]`,
    parameter.op,
    parameter.layer,
    movesIn([parameter], report),
  ]);
  return [formatTable(['parameter', 'shape', 'read by', 'layer', 'moves in'], rows)];
}

/** First and last tensor, how many numbers, their share of the network's, and what moves them. */
function summaryOf(
  parameters: readonly ModelParameter[],
  report: CompileReport,
): [string, string, string, string, string] {
  const learned = parameters.filter(({ moment }) => !moment);
  const numbers = numbersOf(learned);
  const all = numbersOf(report.model.parameters.filter(({ moment }) => !moment));
  const [first = '', last = ''] = [learned[0]?.tensor, learned.at(-1)?.tensor];
  return [first, last, String(numbers), all > 0 ? percent(numbers / all) : '', movesIn(parameters, report)];
}

const columns = ['first parameter', 'last parameter', 'numbers', 'of all'] as const;

/** A line a block, from the image upward, called as selections call it; of a network without any, a line a layer. */
export function summaryOfParameters(report: CompileReport): string[] {
  const { sections, parameters } = report.model;
  if (sections.every(({ block }) => block === undefined)) return layerTable(parameters, report);
  const below = sections.findIndex(({ block }) => block !== undefined);
  const above = sections.findLastIndex(({ block }) => block !== undefined);
  const rows = sections.flatMap(({ block, parameters: own, multiplyAdds }, i) => {
    if (own.length === 0 && multiplyAdds === 0) return [];
    const [first, last, numbers, ofAll, moves] = summaryOf(own, report);
    const place = i < below ? 'below' : i > above ? 'above' : 'between';
    const name = block === undefined ? place : `blocks:${block}`;
    return [[name, first, last, numbers, ofAll, `${(multiplyAdds / 1e6).toFixed(2)} M`, moves]];
  });
  return [
    formatTable(['block', ...columns, 'multiply-adds', 'moves in'], rows),
    'blocks:N moves a block, those that follow and all between and above them; --verbose lists every parameter',
  ];
}

function layerTable(parameters: readonly ModelParameter[], report: CompileReport): string[] {
  const layers = new Map<string, ModelParameter[]>();
  for (const parameter of parameters) {
    const known = layers.get(parameter.layer);
    if (known) known.push(parameter);
    else layers.set(parameter.layer, [parameter]);
  }
  const rows = [...layers.values()].map((own, i) => [`last:${layers.size - i}`, ...summaryOf(own, report)]);
  return [
    formatTable(['layer', ...columns, 'moves in'], rows),
    'last:N moves a layer and those that follow; no blocks repeat in this network; --verbose lists every parameter',
  ];
}
