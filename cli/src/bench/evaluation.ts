import { tmpdir } from 'node:os';
import type { Manifest, Measurement } from '@whet/runtime';
import type { Drawn, EpisodeShape, ImageFiles, InterimRow, Interval, MeasuredRow, Row } from '@whet/trainer';
import { bytes, formatTable, milliseconds, percent, signed } from '../format.js';
import { type Progress, startProgress } from '../progress.js';
import { taskOf } from './columns.js';

/** A measured row as JSON: a measurement as manifests have it, and what else is known. Shares are 0..1. */
export interface Evaluated extends Measurement {
  readonly rate: number | null;
  readonly optimizer: string | null;
  readonly startHalfWidth: number;
  /** The row whose 0 steps these are: its own name, or that of one above which predicts the same. */
  readonly startOf: string;
  /** Accuracy over 0 steps and, where that was asked for, over another row's; paired, with half of their 95 % intervals. */
  readonly gain: Interval;
  readonly against: (Interval & { readonly row: string }) | null;
  readonly calibration: MeasuredRow['calibration'];
  readonly strangers: MeasuredRow['strangers'];
  /** Tasks in which views of the examples left the steps nothing to learn; null where they are always taken. */
  readonly spared: number | null;
  readonly moved: MeasuredRow['moved'];
  readonly loss: MeasuredRow['loss'];
}

/** The rows of each shape as JSON; `against` is one of them, whose accuracies the others' are compared with. */
export async function evaluatedRows(
  measured: readonly (readonly MeasuredRow[])[],
  rows: readonly Row[],
  { patterns }: Manifest,
  against: string | undefined,
): Promise<Evaluated[]> {
  const { maySpare } = await import('@whet/runtime/format');
  const { pairedDifference } = await import('@whet/trainer');
  return measured.flatMap((ofShape) => {
    const other = ofShape.find(({ name }) => name === against);
    return ofShape.map(
      ({
        name,
        measurement,
        start,
        startOf,
        gain,
        calibration,
        strangers,
        spared,
        moved,
        loss,
        accuracies,
      }): Evaluated => {
        const adapt = rows.find((row) => row.name === name)?.adapt ?? {};
        const { pattern = '', rate } = adapt;
        const known = Object.hasOwn(patterns, pattern) ? patterns[pattern] : undefined;
        return {
          ...measurement,
          rate: rate ?? known?.rate ?? null,
          optimizer: known ? (known.optimizer ?? 'sgd') : null,
          startHalfWidth: start.halfWidth,
          startOf,
          gain,
          against:
            other && other.name !== name
              ? { row: other.name, ...pairedDifference(accuracies, other.accuracies) }
              : null,
          calibration,
          strangers,
          spared: known && maySpare(known, adapt) ? spared : null,
          moved,
          loss,
        };
      },
    );
  });
}

const accuracy = (mean: number, halfWidth: number): string => `${(100 * mean).toFixed(2)} ± ${percent(halfWidth, 2)}`;
const difference = ({ mean, halfWidth }: Interval): string => `${signed(100 * mean)} ± ${(100 * halfWidth).toFixed(2)}`;
const short = (value: number): string => (value >= 0.001 ? value.toPrecision(3) : value.toExponential(1));
const points = (share: number): string => (100 * share).toFixed(1);

/** The rows as a table: what is at 0 steps once where rows start alike, above them. */
export function evaluationTable(all: readonly Evaluated[], against: string | undefined): string {
  const more = (cell: string) => (against === undefined ? [] : [cell]);
  const hasStrangers = all.some(({ strangers }) => strangers !== null);
  const told = hasStrangers ? ['unknown: area', 'known kept', 'unknown found'] : [];
  const maySpare = all.some(({ spared }) => spared !== null);
  const head = [
    'row',
    'task',
    'accuracy',
    'over 0 steps',
    ...more(`over ${against}`),
    'calibration error',
    ...told,
    'loss',
  ];
  const tasks = [...new Set(all.map(taskOf))];
  const lines = tasks.flatMap((task) => {
    const rows = all.filter((row) => taskOf(row) === task);
    const starts = rows.filter((row) => row.startOf === row.pattern);
    return starts.flatMap((start) => {
      const name = starts.length > 1 ? `0 steps of ${start.pattern}` : '0 steps';
      const { startAccuracy, startHalfWidth, calibration } = start;
      const zero = [name, task, accuracy(startAccuracy, startHalfWidth), '-', ...more('-'), points(calibration.start)];
      const own = rows.filter((row) => row.startOf === start.pattern);
      const rest = Array.from({ length: told.length + (maySpare ? 7 : 6) }, () => '-');
      return [[...zero, ...rest], ...own.map((row) => lineOf(row, task, more, { hasStrangers, maySpare }))];
    });
  });
  return formatTable(
    [...head, 'steps', ...(maySpare ? ['spared'] : []), 'adapt', 'of it encode', 'predict one', 'stored'],
    lines,
  );
}

/** Which columns a table has besides. */
interface Columns {
  readonly hasStrangers: boolean;
  readonly maySpare: boolean;
}

function lineOf(
  row: Evaluated,
  task: string,
  more: (cell: string) => string[],
  { hasStrangers, maySpare }: Columns,
): string[] {
  const { strangers, loss, milliseconds: times } = row;
  const told = strangers
    ? [strangers.area.toFixed(3), percent(strangers.kept), percent(strangers.found)]
    : ['-', '-', '-'];
  return [
    row.pattern,
    task,
    accuracy(row.accuracy, row.halfWidth),
    difference(row.gain),
    ...more(row.against ? difference(row.against) : '-'),
    points(row.calibration.adapted),
    ...(hasStrangers ? told : []),
    loss ? `${short(loss.start)} to ${short(loss.end)}` : '-',
    String(row.steps),
    ...(maySpare ? [row.spared === null ? '-' : `${row.spared} of ${row.tasks}`] : []),
    milliseconds(times.adapt),
    milliseconds(times.encode),
    milliseconds(times.predict),
    bytes(row.storedBytes),
  ];
}

/** Sentences that say what the columns of rows are. */
export function evaluationNotes(all: readonly Evaluated[]): string[] {
  const [first] = all;
  if (!first) return [];
  const { tasks, split, queries, strangers } = first;
  return [
    `${tasks} tasks of the ${split} classes, ${queries} queries per class, one image at a time; 95 % intervals.`,
    'Differences are in points and paired, of the same queries. Calibration error: expected, in points, of 15 bins.',
    'Medians over tasks: the loss of the examples before and after the steps, steps, and times. Each image was encoded once, by',
    'itself; examples with views, and those of auto, in each task again. That time counts in every task that draws them.',
    ...(all.some(({ spared }) => spared !== null)
      ? [
          'Spared: tasks in which views of the examples left the steps nothing to learn; their figures are of the head alone.',
          '--always takes all steps.',
        ]
      : []),
    ...(strangers
      ? [
          'Unknown: each task asks about a class more. Area: how often an image of a class is more familiar than one of that class',
          '(under the ROC curve, mean over tasks); shares that are not, and that are, called unknown.',
        ]
      : []),
  ];
}

/** What is going to be measured, in two lines. */
export function drawnText(
  { name }: Manifest,
  files: ImageFiles,
  rows: readonly Row[],
  tasks: readonly string[],
  count: number,
  drawn: Drawn,
): string {
  const { classes, images, frozenParts, bytesOnDisk } = drawn;
  const parts = frozenParts > 1 ? `, by ${frozenParts} frozen parts` : '';
  const disk = bytesOnDisk > 0 ? `, ${bytes(bytesOnDisk)} of it in ${tmpdir()}` : '';
  const once = frozenParts > 0 ? 'encoded' : 'read';
  return (
    `${name}: ${rows.map((row) => row.name).join(', ')} on ${files.name}, ${files.split}: ${classes} classes, ${images} images\n` +
    `${count} tasks of ${tasks.join(', ')} draw ${drawn.drawn} of these; each is ${once} once${parts} (${bytes(drawn.bytes)}${disk})\n`
  );
}

/** Progress of encoding, and then of the tasks of each shape with their running means. */
export function evaluationProgress(tasks: number, label = '') {
  let progress: Progress | undefined;
  const stop = () => {
    progress?.stop();
    progress = undefined;
  };
  const show = (what: string, done: number, total: number, text: string) => {
    progress ??= startProgress(`${label}${what}`, total);
    progress.update(done, text);
    if (done === total) stop();
  };
  return {
    stop,
    onEncoded: (done: number, total: number) => show('encode', done, total, 'images'),
    onTask: (shape: EpisodeShape, done: number, rows: readonly InterimRow[]) =>
      show(taskOf(shape), done, tasks, interimText(rows)),
  };
}

/** Running means: `0 steps 64.80 %, last +1.20 ± 0.80`. */
function interimText(rows: readonly InterimRow[]): string {
  const gains = rows.map(({ name, gain }) => `${name} ${difference(gain)}`);
  return [`0 steps ${percent(rows[0]?.start.mean ?? 0, 2)}`, ...gains].join(', ');
}
