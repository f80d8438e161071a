import type { PatternResult, SearchOutcome, SearchSettings } from '@whet/trainer';
import { milliseconds, percent, pointsOf } from '../format.js';
import { axis, ink, legend, legendHeight, renderChart, upright } from './chart.js';
import { type Html, html } from './html.js';
import { facts, figure, page, table } from './page.js';

const points = (share: number): string => `${share < 0 ? '−' : '+'}${Math.abs(share * 100).toFixed(2)}`;
const interval = ({ mean, halfWidth }: PatternResult['accuracy']): string =>
  `${(100 * mean).toFixed(2)} ± ${(100 * halfWidth).toFixed(2)}`;
const times = (ratio: number): string => `${ratio.toFixed(ratio < 10 ? 2 : 1)}×`;

/** A name of several layers, which a narrow page may break between them. */
const brokenAtPlus = (name: string): Html =>
  html`${name.split('+').map((layer, i) => (i > 0 ? html`+<wbr>${layer}` : layer))}`;

/** The span of an axis around values, with room at both ends. */
function around(values: readonly number[], grow: (value: number, by: -1 | 1) => number) {
  return { min: grow(Math.min(...values), -1), max: grow(Math.max(...values), 1) };
}

/** What a name of many layers is on a chart. */
const shortName = ({ name, layers }: PatternResult, dense: string): string =>
  name === dense ? 'dense' : layers.map((layer) => layer.replace(/^block/, '')).join('+');

/** Accuracy against milliseconds; the Pareto front joined, the chosen pattern marked. */
function paretoChart({ results, chosen, dense, reference, budget }: SearchOutcome): Promise<Html> {
  const front = results.filter(({ pareto }) => pareto);
  const place = ({ milliseconds: { adapt }, accuracy }: PatternResult) => [adapt, 100 * accuracy.mean];
  const others = results.filter((each) => !each.pareto && each.name !== chosen);
  const of = results.find(({ name }) => name === reference)?.accuracy.mean ?? 0;
  const line = 100 * of - budget;
  const widest = Math.max(...results.map(({ accuracy }) => 100 * accuracy.halfWidth));
  const y = around([...results.map(({ accuracy }) => 100 * accuracy.mean), line], (value, by) => {
    return Math.min(100, Math.max(0, Math.round((value + by * (widest + 0.3)) * 2) / 2));
  });
  const x = around(
    results.map((each) => each.milliseconds.adapt),
    (value, by) => Number((value * (by < 0 ? 0.8 : 1.3)).toPrecision(2)),
  );
  const named = (list: readonly PatternResult[]) =>
    list.map((each) => ({ name: shortName(each, dense), value: place(each) }));
  const dot = (name: string, list: readonly PatternResult[], color: string, symbolSize: number, symbol: string) => ({
    name,
    type: 'scatter',
    data: named(list),
    symbol,
    symbolSize,
    itemStyle: { color },
    silent: true,
  });
  const best = results.filter(({ name }) => name === chosen);
  const label = {
    show: true,
    formatter: '{b}',
    position: 'top',
    color: ink('text'),
    fontSize: 11,
    textBorderWidth: 0,
  };
  const intervals = upright(
    results.map(({ milliseconds: { adapt }, accuracy: { mean, halfWidth } }) => [
      adapt,
      100 * (mean - halfWidth),
      100 * (mean + halfWidth),
    ]),
  );
  const budgetLine = {
    name: `${pointsOf(budget)} below ${reference === dense ? 'dense' : 'the best'}`,
    type: 'line',
    silent: true,
    symbol: 'none',
    data: [
      [x.min, line],
      [x.max, line],
    ],
    lineStyle: { color: ink('muted'), type: 'dashed', width: 1 },
    itemStyle: { color: ink('muted') },
  };
  const alt =
    `Accuracy against milliseconds to adapt of ${results.length} layer patterns. Chosen: ${chosen}. On the Pareto front, ` +
    `from fast to slow: ${front.map((each) => `${each.name}, ${milliseconds(each.milliseconds.adapt)}, ${percent(each.accuracy.mean, 1)}`).join('; ')}.`;
  return renderChart(alt, (size) => ({
    grid: {
      left: 52,
      right: 16,
      top: legendHeight(size, [budgetLine.name, 'dominated', 'Pareto front', 'chosen']),
      bottom: 46,
    },
    legend,
    xAxis: axis('ms to adapt (logarithmic)', { type: 'log', ...x, splitLine: { show: false } }),
    yAxis: axis('accuracy, %', { type: 'value', ...y, nameGap: 36 }),
    series: [
      intervals,
      budgetLine,
      dot('dominated', others, ink('muted'), 6, 'circle'),
      {
        name: 'Pareto front',
        type: 'line',
        // Between two patterns there is nothing: what a time buys is the one to its left.
        step: 'end',
        silent: true,
        data: named(front),
        symbol: 'circle',
        symbolSize: 9,
        showAllSymbol: true,
        itemStyle: { color: ink('a') },
        lineStyle: { color: ink('a'), width: 1.5 },
        label,
        labelLayout: { hideOverlap: true },
      },
      {
        ...dot('chosen', best, ink('b'), 16, 'diamond'),
        label: { ...label, show: !best[0]?.pareto, fontWeight: 700 },
      },
    ],
  }));
}

/** What a single step comes to, of patterns that were measured so. */
function oneStepTable(
  { results, chosen, dense, reference }: SearchOutcome,
  { steps, rates }: SearchSettings,
): Html | string {
  const measured = results.flatMap((each) => (each.oneStep ? [{ ...each, one: each.oneStep }] : []));
  if (measured.length === 0) return '';
  const less = reference === dense ? 'dense' : 'the best';
  const rows = measured.map(({ name, accuracy, one }) => [
    brokenAtPlus(name),
    interval(one.accuracy),
    `${points(one.difference.mean)} ± ${(100 * one.difference.halfWidth).toFixed(2)}`,
    milliseconds(one.milliseconds),
    interval(accuracy),
    ...(rates.length > 1 ? [String(one.rate)] : []),
  ]);
  const head = [
    'moving layers',
    'one step, %',
    `less ${less} after ${steps}`,
    'adapt',
    `after ${steps}, %`,
    ...(rates.length > 1 ? ['rate of one step'] : []),
  ];
  const caption = `After a single step in place of ${steps}, at the rate that is best for it.`;
  const marked = measured.findIndex(({ name }) => name === chosen);
  return html`<h2>One step</h2>
${table(head, rows, { caption, marked })}`;
}

/** The report of a search: what was chosen and why, every pattern, and what moving less and caching each save. */
export async function searchPage(
  name: string,
  settings: SearchSettings,
  outcome: SearchOutcome,
  asked: number,
): Promise<string> {
  const { results, tasks, budget } = outcome;
  const find = (wanted: string) => results.find((each) => each.name === wanted) as PatternResult;
  const [chosen, dense, reference] = [find(outcome.chosen), find(outcome.dense), find(outcome.reference)];
  const { ways, shots, queries, steps, rates } = settings;
  const of = reference === dense ? 'the dense pattern' : `the most accurate pattern, ${reference.name}`;
  const rows = results.map((each) => [
    html`${brokenAtPlus(each.name)}${each.name === outcome.dense && ' (dense)'}`,
    interval(each.accuracy),
    `${points(each.difference.mean)} ± ${(100 * each.difference.halfWidth).toFixed(2)}`,
    milliseconds(each.milliseconds.adapt),
    times(dense.milliseconds.adapt / each.milliseconds.adapt),
    times(dense.milliseconds.adapt / each.milliseconds.rerun),
    times(each.milliseconds.rerun / each.milliseconds.adapt),
    each.withinBudget ? 'yes' : 'no',
    each.pareto ? 'yes' : '',
    ...(rates.length > 1 ? [String(each.rate)] : []),
    ...(results.some(({ diverged }) => diverged > 0) ? [String(each.diverged)] : []),
  ]);
  const head = [
    'moving layers',
    'accuracy, %',
    reference === dense ? 'less dense' : 'less best',
    'adapt',
    'faster',
    'moves less',
    'caches',
    'in budget',
    'on front',
    ...(rates.length > 1 ? ['rate'] : []),
    ...(results.some(({ diverged }) => diverged > 0) ? ['diverged'] : []),
  ];
  const marked = results.indexOf(chosen);
  const body = html`<h1>Which layers should move: ${name}</h1>
<p class="muted">${results.length}${outcome.of && ` of ${outcome.of}`} layer patterns on the same ${tasks} tasks of validation classes${
    tasks < asked && html` (of ${asked} asked for; the search was interrupted)`
  }, ${ways}-way ${shots}-shot, ${queries} queries per class, one image at a time, ${steps} inner steps.</p>
${facts([
  [brokenAtPlus(chosen.name), 'chosen: the layers that move'],
  [`${interval(chosen.accuracy)} %`, `accuracy, 95 % interval; dense has ${percent(dense.accuracy.mean, 2)}`],
  [milliseconds(chosen.milliseconds.adapt), `to adapt; dense takes ${milliseconds(dense.milliseconds.adapt)}`],
  [times(dense.milliseconds.adapt / chosen.milliseconds.adapt), 'faster than dense'],
])}
<p>The fastest pattern within ${pointsOf(budget)} of ${of}. Its accuracy less that of the reference, task by task:
${points(chosen.difference.mean)} ± ${(100 * chosen.difference.halfWidth).toFixed(2)} points.</p>
<h2>Accuracy and speed</h2>
${figure(
  await paretoChart(outcome),
  'Each mark is a pattern; numbers are the blocks that move. Bars: 95 % intervals. On the front nothing is both faster and more accurate.',
)}
<h2>Where the time goes</h2>
${table(
  ['', 'ms to adapt', 'saves', 'times as fast'],
  [
    ['dense: everything moves', milliseconds(dense.milliseconds.adapt), '', ''],
    [
      `only ${chosen.name} moves, all run in every step`,
      milliseconds(chosen.milliseconds.rerun),
      milliseconds(chosen.saved.masking),
      times(dense.milliseconds.adapt / chosen.milliseconds.rerun),
    ],
    [
      'and the frozen prefix run once and cached',
      milliseconds(chosen.milliseconds.adapt),
      milliseconds(chosen.saved.caching),
      times(chosen.milliseconds.rerun / chosen.milliseconds.adapt),
    ],
    ...(chosen.oneStep
      ? [
          [
            `and one step in place of ${steps}`,
            milliseconds(chosen.oneStep.milliseconds),
            milliseconds(chosen.milliseconds.adapt - chosen.oneStep.milliseconds),
            times(chosen.milliseconds.adapt / chosen.oneStep.milliseconds),
          ],
        ]
      : []),
  ],
  { caption: 'What the pattern itself saves, and what caching its prefix saves; medians.', marked: 2 },
)}
<h2>All patterns</h2>
${table(head, rows, { caption: 'From fast to slow. Differences of accuracy are points. Faster than dense = by moving less × by caching. The chosen pattern is bold.', marked })}
<p class="muted">A pattern whose first layer moves has no prefix to cache. ${
    rates.length > 1 &&
    html`Each pattern has the best of the rates ${rates.join(', ')} on these tasks, which flatters all of them a little. `
  }These are validation tasks: report the accuracy of what you ship on test tasks.</p>
${oneStepTable(outcome, settings)}
<details><summary>Settings</summary><pre>${JSON.stringify(settings, null, 2)}</pre></details>`;
  return page(`Layer patterns of ${name}`, body);
}
