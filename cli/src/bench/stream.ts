import type { Interval, StreamResult, StreamShape } from '@whet/trainer';
import { bytes, formatTable, milliseconds } from '../format.js';
import { html } from '../pages/html.js';
import { figure, page, table } from '../pages/page.js';

const points = ({ mean, halfWidth }: Interval): string =>
  `${(100 * mean).toFixed(2)} ± ${(100 * halfWidth).toFixed(2)}`;

/** Rows of a stream: in the end, and right after each stage. */
function lines(results: readonly StreamResult[]) {
  return results.map(({ name, retained, newest, forgotten, atOnce, profileBytes, milliseconds: ms }) => [
    name,
    ...[retained, newest, forgotten, atOnce].map(points),
    bytes(profileBytes),
    milliseconds(ms),
  ]);
}

const HEAD = ['row', 'all in the end', 'newest', 'forgotten', 'all at once', 'profile', 'last stage'];

/** Sentences that say what the columns are. */
export const streamNotes = (
  { stages, ways, shots, queries }: StreamShape,
  streams: number,
  split: string,
): string[] => [
  `${streams} streams of the ${split} classes: ${stages} stages of ${ways} new classes, ${shots} examples each, adapted to alone;`,
  `${queries} queries per class, one image at a time, among all classes known by then; 95 % intervals over streams, in percent.`,
  'Newest: of each stage’s classes right after it. Forgotten: of that, how much is gone in the end. All at once: adapted to all',
  'examples together by the same pattern. Profile: bytes in the end. Last stage: time to adapt, encoding left out.',
];

/** The rows as tables: how it ended, and accuracy on all classes so far by stage. */
export function streamTables(results: readonly StreamResult[], { ways }: StreamShape): string {
  const [first] = results;
  const stages = first?.known.map((_, stage) => `${(stage + 1) * ways}`) ?? [];
  const known = results.map(({ name, known }) => [name, ...known.map(({ mean }) => (100 * mean).toFixed(1))]);
  return `${formatTable(HEAD, lines(results))}\n${formatTable(['all so far, of classes:', ...stages], known)}`;
}

/** A page with a chart of accuracy on all classes so far. */
export async function streamPage(
  title: string,
  results: readonly StreamResult[],
  shape: StreamShape,
  notes: readonly string[],
): Promise<string> {
  const { lineChart } = await import('../pages/line-chart.js');
  const { seriesInks } = await import('../pages/chart.js');
  const chart = await lineChart(
    `Accuracy on all classes so far by their number: ${results.map(({ name, retained }) => `${name} ends at ${points(retained)}`).join('; ')}.`,
    'all classes so far, %',
    results.map(({ name, known }, i) => ({
      name,
      points: known.map(({ mean }, stage) => [(stage + 1) * shape.ways, 100 * mean] as const),
      color: seriesInks[i % seriesInks.length] as string,
      dashed: i >= seriesInks.length,
    })),
    { x: 'classes known' },
  );
  return page(
    title,
    html`<h1>${title}</h1>
${figure(chart, 'Accuracy on all classes so far, by how many there are.')}
${table(HEAD, lines(results))}
<p class="muted">${notes.join(' ')}</p>`,
  );
}
