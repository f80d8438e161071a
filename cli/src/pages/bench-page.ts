import type { BenchRecord, BenchResult } from '@whet/trainer';
import { accuracyText, benchTable, machineText, taskOf } from '../bench/columns.js';
import { noPeers } from '../bench/peers.js';
import { milliseconds } from '../format.js';
import { axis, ink, legend, legendHeight, renderChart, seriesInks, upright } from './chart.js';
import { type Html, html } from './html.js';
import { figure, page, table } from './page.js';

/** A result whose accuracy is known. */
type Placed = BenchResult & { readonly accuracy: NonNullable<BenchResult['accuracy']> };

/** Accuracy against milliseconds: a series per bundle, task and backend, its patterns named. */
function accuracyChart({ bundles, backends }: BenchRecord, results: readonly Placed[]): Promise<Html> {
  const nameOf = (each: Placed) =>
    [...(bundles.length > 1 ? [each.bundle] : []), taskOf(each), ...(backends.length > 1 ? [each.backend] : [])].join(
      ', ',
    );
  const names = [...new Set(results.map(nameOf))];
  const low = Math.min(...results.map(({ accuracy }) => 100 * (accuracy.mean - accuracy.halfWidth)));
  const high = Math.max(...results.map(({ accuracy }) => 100 * (accuracy.mean + accuracy.halfWidth)));
  const [min, max] = [Math.max(0, Math.floor(low - 0.5)), Math.min(100, Math.ceil(high + 0.5))];
  const alt =
    'Accuracy against milliseconds to adapt: ' +
    `${results.map((each) => `${each.pattern} (${nameOf(each)}), ${milliseconds(each.adapt.median)}, ${accuracyText(each.accuracy)}`).join('; ')}.`;
  const intervals = upright(
    results.map(({ adapt, accuracy: { mean, halfWidth } }) => [
      adapt.median,
      100 * (mean - halfWidth),
      100 * (mean + halfWidth),
    ]),
  );
  return renderChart(alt, (size) => ({
    grid: { left: 52, right: 16, top: legendHeight(size, names), bottom: 46 },
    legend,
    xAxis: axis('ms to adapt (logarithmic)', { type: 'log', splitLine: { show: false } }),
    yAxis: axis('accuracy, %', { type: 'value', min, max, nameGap: 36 }),
    series: [
      intervals,
      ...names.map((name, i) => ({
        name,
        type: 'scatter',
        silent: true,
        data: results
          .filter((each) => nameOf(each) === name)
          .map((each) => ({ name: each.pattern, value: [each.adapt.median, 100 * each.accuracy.mean] })),
        // Six inks; more series than that differ by their marks.
        symbol: ['circle', 'diamond', 'triangle', 'rect'][Math.floor(i / seriesInks.length) % 4],
        symbolSize: 10,
        itemStyle: { color: seriesInks[i % seriesInks.length] },
        label: { show: true, formatter: '{b}', position: 'top', color: ink('text'), fontSize: 11, textBorderWidth: 0 },
        labelLayout: { hideOverlap: true },
      })),
    ],
  }));
}

/** The report of a bench: accuracy against milliseconds where accuracies are known, all figures, and where they are from. */
export async function benchPage(record: BenchRecord, peers = noPeers): Promise<string> {
  const { bundles, results, problems, interrupted, options } = record;
  const names = bundles.map(({ label }) => label).join(', ') || 'nothing';
  const placed = results.filter((each): each is Placed => each.accuracy !== null);
  const { head, rows, notes } = benchTable(record, peers);
  const body = html`<h1>Bench of ${names}</h1>
<p class="muted">${machineText(record)}</p>
${interrupted && html`<p>Stopped before all was measured.</p>`}
${
  problems.length > 0 &&
  html`<h2>Not measured</h2>
<ul>${problems.map((problem) => html`<li>${problem}</li>`)}</ul>`
}
<h2>Accuracy and speed</h2>
${
  placed.length > 0
    ? figure(
        await accuracyChart(record, placed),
        'Each mark is a pattern; fast and accurate is top left. Bars: 95 % intervals over tasks.',
      )
    : html`<p>No accuracy is known for this task: measure it with --data, or record it with whet evaluate --record.</p>`
}
<h2>All figures</h2>
${results.length > 0 ? table(head, rows) : html`<p>Nothing was measured.</p>`}
${results.length > 0 && notes.map((note) => html`<p class="muted">${note}</p>`)}
<details><summary>Bundles and options</summary><pre>${JSON.stringify({ bundles, options }, null, 2)}</pre></details>`;
  return page(`Bench of ${names}`, body);
}
