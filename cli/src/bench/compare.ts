import type { BenchComparison, BenchResult, TimeChange } from '@whet/trainer';
import { formatTable, milliseconds, signed } from '../format.js';
import { taskOf } from './columns.js';

const ratio = ({ ratio, verdict }: TimeChange): string => `${ratio.toFixed(2)}${marks[verdict]}`;

const marks: Readonly<Record<TimeChange['verdict'], string>> = { faster: ' *', slower: ' *', same: '', few: '' };

const verdicts: Readonly<Record<TimeChange['verdict'], string>> = {
  faster: 'faster',
  slower: 'slower',
  same: 'within noise',
  few: 'too few runs',
};

const nameOf = (each: BenchResult): string => `${each.bundle} ${each.pattern}, ${taskOf(each)}, ${each.backend}`;

/** Prints what changed between two files of `whet bench --json`. Throws where they have no result in common. */
export async function compareFiles(files: readonly string[]): Promise<void> {
  const [first, second] = files;
  if (first === undefined || second === undefined || files.length !== 2) {
    throw new Error(`--compare: expected two files of \`whet bench --json\`, got ${files.length}`);
  }
  const { compareBenches, readBench } = await import('@whet/trainer');
  const comparison = compareBenches(await readBench(first), await readBench(second));
  if (comparison.changes.length === 0) {
    throw new Error(`--compare: ${first} and ${second} have no bundle, backend, pattern, task and steps in common`);
  }
  process.stdout.write(`${comparisonText(comparison)}\n`);
}

/** A comparison for the terminal: first what makes it doubtful, then the ratios of medians. */
function comparisonText({ differences, changes, onlyBefore, onlyAfter }: BenchComparison): string {
  const warning = differences.length > 0 ? ['NOT LIKE WITH LIKE:', ...differences.map((each) => `- ${each}`)] : [];
  const known = changes.some(({ accuracy }) => accuracy);
  const rows = changes.map(({ result, times, accuracy }) => [
    result.pattern,
    result.bundle,
    result.backend,
    taskOf(result),
    milliseconds(times.adapt.before),
    milliseconds(times.adapt.after),
    ratio(times.adapt),
    verdicts[times.adapt.verdict],
    ratio(times.encode),
    ratio(times.step),
    ratio(times.predict),
    ...(known ? [accuracy ? `${signed(accuracy.points)}${accuracy.beyondNoise ? ' *' : ''}` : '-'] : []),
  ]);
  const head = [
    'pattern',
    'bundle',
    'backend',
    'task',
    'adapt before',
    'after',
    'ratio',
    '',
    'encode',
    'step',
    'predict',
  ];
  const lines = [
    ...warning,
    formatTable([...head, ...(known ? ['accuracy, points'] : [])], rows),
    'Ratios of medians, after over before: below 1 is faster. *: beyond noise, the middle halves of the runs do not overlap' +
      `${known ? ' (of accuracies: the 95 % intervals)' : ''}.`,
    ...onlyBefore.map((each) => `only before: ${nameOf(each)}`),
    ...onlyAfter.map((each) => `only after: ${nameOf(each)}`),
  ];
  return lines.join('\n');
}
