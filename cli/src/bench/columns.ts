import type { BenchRecord, BenchResult } from '@whet/trainer';
import { bytes, milliseconds, percent } from '../format.js';
import { bothTimes, noPeers } from './peers.js';

interface Column {
  readonly head: string;
  /** A column is left out where no result has it. */
  cell(result: BenchResult): string | undefined;
}

const times = (ratio: number): string => `${ratio.toFixed(1)}x`;

export const taskOf = ({ ways, shots }: Pick<BenchResult, 'ways' | 'shots'>): string => `${ways}-way ${shots}-shot`;

/** `97.41 ± 0.31 %` */
export const accuracyText = ({ mean, halfWidth }: NonNullable<BenchResult['accuracy']>): string =>
  `${(100 * mean).toFixed(2)} ± ${percent(halfWidth, 2)}`;

function columnsOf({ bundles, backends, options }: BenchRecord): Column[] {
  return [
    { head: 'pattern', cell: ({ pattern }) => pattern },
    { head: 'bundle', cell: ({ bundle }) => (bundles.length > 1 ? bundle : undefined) },
    { head: 'backend', cell: ({ backend }) => (backends.length > 1 ? backend : undefined) },
    { head: 'task', cell: taskOf },
    { head: 'moving', cell: ({ movingWeights }) => String(movingWeights) },
    { head: 'stored', cell: ({ storedBytes }) => bytes(storedBytes) },
    { head: 'encode', cell: ({ encode }) => milliseconds(encode.median) },
    { head: 'step', cell: ({ step }) => milliseconds(step.median) },
    { head: 'steps', cell: ({ steps }) => (options.steps === null ? String(steps) : undefined) },
    {
      head: options.steps === null ? 'adapt' : `adapt, ${options.steps} steps`,
      cell: ({ adapt }) => `${milliseconds(adapt.median)} (p95 ${milliseconds(adapt.p95)})`,
    },
    { head: 'predict one', cell: ({ predict }) => milliseconds(predict.median) },
    { head: 'peak memory', cell: ({ peakBytes }) => (peakBytes === null ? undefined : bytes(peakBytes)) },
    { head: 'accuracy', cell: ({ accuracy }) => (accuracy ? accuracyText(accuracy) : undefined) },
    { head: 'floor', cell: ({ floor }) => (floor ? milliseconds(floor.median) : undefined) },
    { head: 'adapt / floor', cell: ({ adapt, floor }) => (floor ? times(adapt.median / floor.median) : undefined) },
    { head: 'speed-up', cell: ({ speedUp }) => (speedUp === null ? undefined : times(speedUp)) },
  ];
}

/** The figures of a bench as a table, other engines beside them: without columns that nothing has, `-` where a result lacks one. */
export function benchTable(
  record: BenchRecord,
  peers = noPeers,
): { head: string[]; rows: string[][]; notes: string[] } {
  const { results } = record;
  const columns = columnsOf(record).filter(({ cell }) => results.some((each) => cell(each) !== undefined));
  const beside = (result: BenchResult) =>
    peers.heads.length > 0 ? [bothTimes(result.adapt.median, result.processor?.median)] : [];
  return {
    head: [...columns.map(({ head }) => head), ...(peers.heads.length > 0 ? ['Whet', ...peers.heads] : [])],
    rows: results.map((result, i) => [
      ...columns.map(({ cell }) => cell(result) ?? '-'),
      ...beside(result),
      ...(peers.rows[i] ?? []),
    ]),
    notes: [...notesOf(record), ...peers.notes],
  };
}

/** The machine and what ran on it, in one line. */
export function machineText({ machine, backends, options }: BenchRecord): string {
  const cores = `${machine.cores} ${machine.cores === 1 ? 'core' : 'cores'}`;
  const own = options.threads === null ? '' : `, ${options.threads} ${options.threads === 1 ? 'thread' : 'threads'}`;
  const versions = backends.map(({ name, version }) => `${version} (${name}${name === 'wasm' ? ', 1 thread' : own})`);
  return [`${machine.cpu}, ${cores}`, machine.platform, `Node ${machine.node}`, ...versions].join('; ');
}

/** Sentences that say what the columns are. */
function notesOf({ results, options, interrupted }: BenchRecord): string[] {
  const least = Math.min(...results.map(({ runs }) => runs));
  const notes = [
    `Medians of ${least} interleaved runs${interrupted ? `, of ${options.runs} asked for (stopped)` : ''}.`,
  ];
  if (results.some(({ speedUp }) => speedUp !== null)) {
    notes.push('Speed-up: of adapting, encoding included, over the pattern that moves everything and caches nothing.');
  }
  if (results.some(({ floor }) => floor)) {
    notes.push('Floor: the matrix products of encoding and of all steps alone, on the same backend in the same runs.');
  }
  if (results.some(({ peakBytes }) => peakBytes !== null)) {
    notes.push('Peak memory: resident while adapting, above what the process holds after loading.');
  }
  const sources = new Set(
    results.flatMap(({ accuracy }) => {
      if (!accuracy) return [];
      const { tasks, split, dataset, from } = accuracy;
      return [`${tasks} ${split} tasks of ${dataset}${from === 'manifest' ? ', from the bundle’s manifest' : ''}`];
    }),
  );
  for (const source of sources) notes.push(`Accuracy, one image at a time, with 95 % interval: ${source}.`);
  return notes;
}

const escaped = (cell: string): string => cell.replaceAll('|', '\\|');

/** A bench as Markdown. */
export function benchMarkdown(record: BenchRecord, peers = noPeers): string {
  const { head, rows, notes } = benchTable(record, peers);
  const line = (cells: readonly string[]) => `| ${cells.map(escaped).join(' | ')} |`;
  const rule = head.map((name) => (['pattern', 'bundle', 'backend', 'task'].includes(name) ? '---' : '--:'));
  const bundles = record.bundles.map(({ name, version, digest }) => `- ${name} ${version}, digest \`${digest}\``);
  const problems = record.problems.map((problem) => `- not measured: ${problem}`);
  const lists = [...bundles, ...problems];
  const body = rows.length > 0 ? [line(head), `|${rule.join('|')}|`, ...rows.map(line), '', ...notes] : [];
  return `${['# Bench', '', machineText(record), '', ...(lists.length > 0 ? [...lists, ''] : []), ...body].join('\n').trimEnd()}\n`;
}
