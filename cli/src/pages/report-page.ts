import type { Preprocessing } from '@whet/runtime/images';
import type { AdaptationTrace, ExamplePrediction, Interval, MetricsLine, RunConfig, WeightMask } from '@whet/trainer';
import { percent } from '../format.js';
import { ink, seriesInks } from './chart.js';
import { type Html, html } from './html.js';
import { type Line, lineChart, type Point } from './line-chart.js';
import { facts, figure, page, table } from './page.js';
import { maskPicture, tensorPicture } from './pictures.js';

/** One kind of task: accuracies by protocol, or why there is none. */
export interface AccuracyRow {
  readonly ways: number;
  readonly shots: number;
  readonly oneImage: Interval | string;
  readonly transductive: Interval | string;
}

export interface Report {
  readonly name: string;
  readonly config: RunConfig;
  /** Outer steps done. */
  readonly step: number;
  /** Whether it trains on the validation classes, whose accuracies tell nothing about new ones then. */
  readonly trainsOnValidation: boolean;
  readonly bestValidation: number | undefined;
  readonly metrics: readonly MetricsLine[];
  readonly split: 'validation' | 'test';
  readonly tasks: number;
  readonly queries: number;
  readonly dataset: string;
  readonly preprocessing: Preprocessing;
  readonly accuracies: readonly AccuracyRow[];
  /** What inner steps do on 5-way 5-shot tasks, or why nothing is known. */
  readonly trace: AdaptationTrace | string;
  /** Of the checkpoint; none for rules without masks. */
  readonly masks: readonly WeightMask[];
  /** Or why there are none. */
  readonly examples: readonly ExamplePrediction[] | string;
}

/** The 95 % interval around a line: what is between its ends, stacked on the lower one. */
function band(metrics: readonly MetricsLine[], color: string): object[] {
  const of = (value: (line: MetricsLine['validation']) => number) =>
    metrics.map(({ step, validation }) => [step, 100 * value(validation)]);
  const hidden = { type: 'line', stack: 'interval', symbol: 'none', silent: true, lineStyle: { opacity: 0 } };
  return [
    { ...hidden, data: of(({ mean, halfWidth }) => mean - halfWidth) },
    { ...hidden, data: of(({ halfWidth }) => 2 * halfWidth), areaStyle: { color, opacity: 0.2 } },
  ];
}

async function curves(metrics: readonly MetricsLine[], seen: boolean): Promise<Html> {
  const line = (value: (of: MetricsLine) => number): Point[] => metrics.map((of) => [of.step, value(of)]);
  const last = metrics.at(-1) as MetricsLine;
  const end = `At outer step ${last.step}: training ${percent(last.accuracy)}, validation ${percent(last.validation.mean)}.`;
  const accuracy = await lineChart(
    `Accuracy over outer steps. ${end}`,
    'accuracy, %',
    [
      { name: 'validation', points: line((of) => 100 * of.validation.mean), color: ink('a') },
      { name: 'training', points: line((of) => 100 * of.accuracy), color: ink('b') },
    ],
    { series: band(metrics, ink('a')) },
  );
  const loss = await lineChart(
    `Training loss over outer steps, ${last.loss.toFixed(3)} at step ${last.step}.`,
    'query loss, nats',
    [{ name: 'training', points: line(({ loss: value }) => value), color: ink('b') }],
    { y: { min: 0 } },
  );
  const rows = metrics.map((of) => [
    String(of.step),
    of.loss.toFixed(4),
    percent(of.accuracy, 2),
    `${percent(of.validation.mean, 2)} ± ${(100 * of.validation.halfWidth).toFixed(2)}`,
  ]);
  const kind = seen ? ' (the run trains on their classes too, so they tell nothing about new ones)' : '';
  const figures = table(['outer step', 'training loss', 'training accuracy', 'validation accuracy'], rows);
  return html`<h2>Training</h2>
${figure(accuracy, `Accuracy on validation tasks${kind} with its 95 % interval, and on the training tasks since the line before.`)}
${figure(loss, 'Mean query loss of the training tasks since the line before.', figures)}`;
}

const shown = (value: Interval | string): string =>
  typeof value === 'string' ? value : `${percent(value.mean, 2)} ± ${(100 * value.halfWidth).toFixed(2)}`;

function accuracyTable(report: Report): Html {
  const { accuracies, split, tasks, queries, config, dataset, trainsOnValidation } = report;
  const rows = accuracies.map(({ ways, shots, oneImage, transductive }) => [
    `${ways}-way ${shots}-shot`,
    shown(oneImage),
    shown(transductive),
  ]);
  const moments = {
    population: 'the moments of training',
    support: 'the moments of the support images',
    transductive: 'the moments of the support images, which it was not trained with',
    layer: 'moments of their own',
  }[config.normalization];
  const seen = split === 'validation' && trainsOnValidation ? ' The run trains on these classes.' : '';
  const steps = `${config.innerSteps} inner ${config.innerSteps === 1 ? 'step' : 'steps'}`;
  return html`<h2>Accuracy on ${split} tasks</h2>
${table(['task', 'one image at a time', 'transductive'], rows, {
  caption: `${tasks} tasks each of the ${split} classes of ${dataset}, ${queries} queries per class, ${steps}; 95 % intervals.${seen}`,
})}
<p class="muted">One image at a time, as on a device: queries are normalized with ${moments}. Transductive, as in the papers:
queries are normalized with each other, so what else is asked changes an answer.</p>`;
}

/** Losses over inner steps, and how far each layer's features move. */
async function adapting({ trace, split }: Report): Promise<Html> {
  if (typeof trace === 'string') return html`<h2>What inner steps do</h2><p>${trace}</p>`;
  const { steps, layers, tasks } = trace;
  const line = (value: (of: (typeof steps)[number]) => number): Point[] => steps.map((of, step) => [step, value(of)]);
  const [first, last] = [steps[0], steps.at(-1)] as [(typeof steps)[number], (typeof steps)[number]];
  const losses = await lineChart(
    `Losses over inner steps: of the queries ${first.queryLoss.toFixed(3)} at first, ${last.queryLoss.toFixed(3)} in the end.`,
    'loss, nats',
    [
      { name: 'queries', points: line(({ queryLoss }) => queryLoss), color: ink('a') },
      { name: 'support', points: line(({ supportLoss }) => supportLoss), color: ink('b') },
    ],
    { x: 'inner step', y: { min: 0 } },
  );
  const rows = steps.map(({ supportLoss, queryLoss, accuracy }, step) => [
    String(step),
    supportLoss.toFixed(4),
    queryLoss.toFixed(4),
    percent(accuracy, 2),
  ]);
  const moved = layers.map(({ layer, alignment, cosine }) => [layer, alignment.toFixed(4), cosine.toFixed(4)]);
  return html`<h2>What inner steps do</h2>
${figure(losses, `Means over ${tasks} ${split} tasks, 5-way 5-shot.`, table(['inner step', 'support loss', 'query loss', 'accuracy'], rows))}
${
  moved.length === 0
    ? ''
    : table(['layer', 'alignment', 'cosine'], moved, {
        caption:
          'Query features before and after the steps, by layer: linear centred kernel alignment (Kornblith et al. 2019) and the mean cosine. 1 where nothing moves.',
      })
}`;
}

async function sparsity({ metrics, masks }: Report): Promise<Html | undefined> {
  if (masks.length === 0) return undefined;
  const layers = [...new Set(masks.map(({ layer }) => layer))];
  const counts = layers.map((layer) => {
    const own = masks.filter((mask) => mask.layer === layer);
    const all = own.reduce((sum, { open }) => sum + open.length, 0);
    const moving = own.reduce((sum, { open }) => sum + open.reduce((count, each) => count + each, 0), 0);
    return { layer, all, moving, frozen: percent((all - moving) / all) };
  });
  const lines = layers.map((layer, i): Line => {
    const points = metrics.flatMap(({ step, frozen: share }): Point[] =>
      share[layer] === undefined ? [] : [[step, 100 * share[layer]]],
    );
    return { name: layer, points, color: seriesInks[i % seriesInks.length] as string };
  });
  const words = counts.map(({ layer, frozen }) => `${layer} ${frozen}`).join(', ');
  const shares = await lineChart(`Frozen share of each layer over outer steps. Now: ${words}.`, 'frozen, %', lines, {
    y: { min: 0, max: 100, scale: false },
  });
  const rows = counts.map(({ layer, all, moving, frozen }) => [layer, String(all), String(moving), frozen]);
  const history = table(
    ['outer step', ...layers],
    metrics.map(({ step, frozen: share }) => [
      String(step),
      ...layers.map((layer) => (share[layer] === undefined ? '' : percent(share[layer]))),
    ]),
  );
  return html`<h2>Which weights move</h2>
${table(['layer', 'weights', 'moving', 'frozen'], rows, { caption: 'By the masks of the last checkpoint.' })}
${figure(shares, 'Share of each layer’s weights that its mask keeps frozen.', history)}
<h2>Masks</h2>
<p class="muted">Coloured weights move. A row is an output channel, a column an input channel and a position of its kernel;
a scale or shift is one row.</p>
${await Promise.all(masks.map((mask) => maskPicture(mask)))}`;
}

async function examplesOf({ examples, preprocessing, split }: Report): Promise<Html> {
  if (typeof examples === 'string') return html`<h2>Predictions</h2><p>${examples}</p>`;
  const picture = (tensor: Float32Array, alt: string) => tensorPicture(tensor, preprocessing, alt);
  const card = async ({ image, right, probability, predicted, actual }: ExamplePrediction) => {
    const sure = percent(probability, 0);
    const other = right
      ? undefined
      : html`<figure>${await picture(actual.support, `support example of ${actual.name}`)}<figcaption>is ${actual.name}</figcaption></figure>`;
    return html`<li class="${right ? 'right' : 'wrong'}">
<figure>${await picture(image, `query image, ${actual.name}`)}<figcaption>query</figcaption></figure>
<figure>${await picture(predicted.support, `support example of ${predicted.name}`)}<figcaption>${
      right ? '✓ right' : '✗ taken for'
    }: ${predicted.name}, ${sure}</figcaption></figure>${other}</li>`;
  };
  const list = async (right: boolean, title: string) => {
    const cards = await Promise.all(examples.filter((each) => each.right === right).map(card));
    return html`<h3>${title}</h3>${
      cards.length > 0 ? html`<ul class="examples">${cards}</ul>` : html`<p>None in the tasks looked at.</p>`
    }`;
  };
  return html`<h2>Predictions</h2>
<p class="muted">Query images of ${split} tasks, each with the support example of the class it was taken for and, where
that is wrong, of its own.</p>
${await list(false, 'Wrong')}${await list(true, 'Right')}`;
}

/** How the classes of a run's tasks arrive, where not all at once. */
function streamOf({ stream, ways, validation }: RunConfig): string {
  if (!stream) return '';
  const { stages, remember } = stream;
  const [trained, asked] = [stages.join(', '), validation.stages ?? Math.max(...stages)];
  const memory =
    remember > 0 ? `, beside at most ${remember} example${remember > 1 ? 's' : ''} of each earlier one` : '';
  return (
    `Classes arrive in stages: ${trained} of ${ways}, each adapted to alone${memory}; the loss is of all so far after each. ` +
    `Validation and training accuracy are of all classes in the end, in validation of ${asked} stages of ${validation.ways}. ` +
    'Other tasks below have all classes at once.'
  );
}

/** The report of a run: curves, accuracies, which weights move, and examples. Sections without content are absent. */
export async function reportPage(report: Report): Promise<string> {
  const { name, config, step, metrics, bestValidation, accuracies } = report;
  const { rule, head, normalization, innerSteps, innerRate, order, model } = config;
  const about = 'channels' in model ? `${[model.channels].flat().join(', ')} channels` : `features "${model.features}"`;
  const going = step < config.outerSteps;
  const first = accuracies.map(({ oneImage }) => oneImage).find((value) => typeof value !== 'string');
  const firstRow = accuracies.find(({ oneImage }) => oneImage === first);
  const title = `Run ${name}`;
  const seen = report.trainsOnValidation;
  const best = bestValidation ?? Math.max(...metrics.map(({ validation }) => validation.mean));
  const body = html`<h1>${title}</h1>
<p class="muted">${model.architecture}, ${about}, rule ${rule} (order ${order}), head ${head}, normalization
${normalization}, ${innerSteps} inner steps at rate ${innerRate}. ${streamOf(config)}</p>
${facts([
  [`${step} / ${config.outerSteps}`, going ? 'outer steps; not at its end' : 'outer steps'],
  [percent(best, 2), seen ? 'best accuracy in validation, on classes it trains on' : 'best accuracy in validation'],
  ...(first && firstRow
    ? [
        [
          shown(first),
          `${firstRow.ways}-way ${firstRow.shots}-shot on ${report.split} tasks, one image at a time`,
        ] as const,
      ]
    : []),
])}
${await curves(metrics, seen)}
${accuracyTable(report)}
${await adapting(report)}
${await sparsity(report)}
${await examplesOf(report)}
<h2>Settings</h2>
<details><summary>All settings of the run</summary><pre>${JSON.stringify(config, null, 2)}</pre></details>`;
  return page(title, body);
}
