import type { ModelMetricsLine, SavedModelRun } from '@whet/trainer';
import { percent } from '../format.js';
import { seriesInks } from './chart.js';
import { type Html, html } from './html.js';
import { type Line, lineChart, type Point } from './line-chart.js';
import { facts, figure, page, table } from './page.js';
import { maskPicture } from './pictures.js';

const inkOf = (i: number): string => seriesInks[i % seriesInks.length] as string;
const points = (value: number): string => `${value < 0 ? '' : '+'}${(100 * value).toFixed(1)}`;

/** One line for each of `names`, of the metrics lines that have it. */
const linesOf = (
  metrics: readonly ModelMetricsLine[],
  names: readonly string[],
  value: (line: ModelMetricsLine, name: string) => number | undefined,
): Line[] =>
  names.map((name, i) => ({
    name,
    color: inkOf(i),
    points: metrics.flatMap((line): Point[] => {
      const found = value(line, name);
      return found === undefined ? [] : [[line.step, 100 * found]];
    }),
  }));

async function accuracies({ metrics }: SavedModelRun, last: ModelMetricsLine): Promise<Html | undefined> {
  const names = Object.keys(last.validation);
  if (names.length === 0) return undefined;
  const gains = linesOf(metrics, names, ({ validation }, name) => validation[name]?.gain.mean);
  const words = names.map((name) => `${name} ${points(last.validation[name]?.gain.mean ?? 0)}`).join(', ');
  const chart = await lineChart(
    `What the inner steps gain over outer steps. Now, in points: ${words}.`,
    'gain, points',
    gains,
  );
  const rows = names.map((name) => {
    const { before, after, gain } = last.validation[name] as (typeof last.validation)[string];
    return [
      name,
      percent(before.mean),
      percent(after.mean),
      `${points(gain.mean)} ± ${(100 * gain.halfWidth).toFixed(1)}`,
    ];
  });
  const history = table(
    ['outer step', ...names],
    metrics.map(({ step, validation }) => [
      String(step),
      ...names.map((name) => percent(validation[name]?.after.mean ?? Number.NaN)),
    ]),
  );
  return html`<h2>Validation</h2>
${table(['data', '0 steps', 'after the inner steps', 'gain, points'], rows, { caption: `At outer step ${last.step}; 95 % intervals, paired.` })}
${figure(chart, 'Accuracy after the inner steps less that before them, on the same tasks each time.', history)}`;
}

async function moved({ metrics, masks, config }: SavedModelRun, last: ModelMetricsLine): Promise<Html> {
  const blocks = last.blocks.map(({ block }) => `block ${block}`);
  const lines = linesOf(metrics, blocks, (line, name) => {
    const found = line.blocks.find(({ block }) => `block ${block}` === name);
    return found && found.open / found.entries;
  });
  const words = last.blocks.map(({ block, open, entries }) => `block ${block} ${percent(open / entries)}`).join(', ');
  const chart = await lineChart(`Share of each block that moves, over outer steps. Now: ${words}.`, 'moves, %', lines, {
    y: { min: 0, max: 100, scale: false },
  });
  const history = table(
    ['outer step', ...blocks],
    metrics.map((line) => [String(line.step), ...line.blocks.map(({ open, entries }) => percent(open / entries))]),
  );
  const rows = last.tensors.map(({ name, block, open, entries, rate }) => [
    name,
    String(block),
    String(entries),
    percent(open / entries),
    rate.toPrecision(2),
  ]);
  return html`<h2>What moves</h2>
${figure(chart, 'Share of each block’s candidates that masks leave open; the last block below the head is 1.', history)}
${table(['tensor', 'block', 'weights', 'moves', 'rate'], rows, { caption: `From the image upward, at outer step ${last.step}. A rate is how far the first step moves each of them.` })}
<h2>Masks</h2>
<p class="muted">Of the last checkpoint: what is coloured moves, a ${config.maskGranularity} each.</p>
${await Promise.all(masks.map(({ name, shape, open }) => maskPicture({ name, shape, open }, `${config.maskGranularity}s`)))}`;
}

/** The report of a run that learned where a model learns: what steps gain by data set, and what moves. */
export async function modelReportPage(name: string, run: SavedModelRun): Promise<string> {
  const { config, metrics } = run;
  const last = metrics.at(-1) as ModelMetricsLine;
  const title = `Run ${name}`;
  const data = config.data.map((each) => (each.weight === 1 ? each.name : `${each.name} (${each.weight})`)).join(', ');
  const [ways, shots, steps] = [config.ways, config.shots, config.innerSteps].map(([from, to]) =>
    from === to ? `${from}` : `${from} to ${to}`,
  );
  const trained = Object.entries(last.trained).map(([of, { loss, accuracy, tasks }]) => [
    of,
    String(tasks),
    loss.toFixed(3),
    percent(accuracy),
  ]);
  const body = html`<h1>${title}</h1>
<p class="muted">Where to learn in ${config.model.fileName}: ${config.trainable.join(', ')}, masks per ${config.maskGranularity}; tasks of
${data}, ${ways} ways, ${shots} shots, ${steps} inner steps.</p>
${facts([
  [`${last.step} / ${config.outerSteps}`, 'outer steps'],
  [percent(last.closed), 'of the candidates are closed'],
])}
${await accuracies(run, last)}
${table(['trained on', 'tasks', 'query loss', 'accuracy'], trained, { caption: 'Of the tasks since the validation before.' })}
${await moved(run, last)}
<h2>Settings</h2>
<details><summary>All settings of the run</summary><pre>${JSON.stringify(config, null, 2)}</pre></details>`;
  return page(title, body);
}
