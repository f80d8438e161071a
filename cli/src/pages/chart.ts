import type { EChartsCoreOption } from 'echarts/core';
import { openCharts } from '../open-charts.js';
import { Html, html } from './html.js';

/** Names a colour of the page's style, so that a chart follows its light and dark form. */
export const ink = (name: 'text' | 'muted' | 'line' | 'a' | 'b' | 'c' | 'd' | 'e' | 'f'): string => `var(--${name})`;

/** Series of a chart, in this order. */
export const seriesInks = (['a', 'b', 'c', 'd', 'e', 'f'] as const).map(ink);

/** Their widths are what text is measured by where there is no browser. Without quotes, which would end a drawing's attribute. */
const FONT = 'Helvetica, Arial, Liberation Sans, sans-serif';

/** Two drawings of one chart, as text in a drawing shrinks with it: pixels of a page, and of a phone 360 px wide. */
const SIZES = [
  { name: 'wide', width: 760, height: 400 },
  { name: 'narrow', width: 320, height: 330 },
] as const;

export type ChartSize = (typeof SIZES)[number]['name'];

/** Common to all axes: lines and words in the page's colours. */
export function axis(name: string, more: object = {}): object {
  return {
    name,
    nameLocation: 'middle',
    nameGap: 30,
    nameTextStyle: { color: ink('muted') },
    axisLabel: { color: ink('muted'), hideOverlap: true },
    axisLine: { lineStyle: { color: ink('line') } },
    axisTick: { lineStyle: { color: ink('line') } },
    splitLine: { lineStyle: { color: ink('line') } },
    ...more,
  };
}

/** A legend above the grid, which starts below {@link legendHeight}. */
export const legend = {
  top: 0,
  left: 0,
  padding: 0,
  itemGap: 22,
  itemWidth: 16,
  textStyle: { color: ink('text') },
};

/** Pixels of an entry of a legend beside its text, of a letter, and of a line. */
const [ENTRY, LETTER, LINE] = [43, 7, 34];

/** Pixels that a legend of these names takes: as many lines as they fill. */
export function legendHeight(size: ChartSize, names: readonly string[]): number {
  const whole = SIZES.find(({ name }) => name === size)?.width ?? 0;
  let [lines, used] = [1, 0];
  for (const name of names) {
    const width = ENTRY + LETTER * name.length;
    if (used > 0 && used + width > whole) [lines, used] = [lines + 1, 0];
    used += width;
  }
  return 40 + LINE * (lines - 1);
}

/** Upright lines without marks, each from one value to another at its place along the horizontal axis. */
export const upright = (lines: readonly (readonly [at: number, from: number, to: number])[]): object => ({
  type: 'custom',
  silent: true,
  data: lines,
  renderItem: (_: unknown, api: { value(i: number): number; coord(at: number[]): number[] }) => {
    const [x1, y1] = api.coord([api.value(0), api.value(1)]);
    const [x2, y2] = api.coord([api.value(0), api.value(2)]);
    return { type: 'line', shape: { x1, y1, x2, y2 }, style: { stroke: ink('line'), lineWidth: 1 } };
  },
  clip: true,
});

/** Renders a chart to SVG without a browser, in two sizes of which a page shows one. `label` says what it shows. */
export async function renderChart(label: string, option: (size: ChartSize) => EChartsCoreOption): Promise<Html> {
  const echarts = await openCharts();
  const { CustomChart, LineChart, ScatterChart } = await import('echarts/charts');
  const { GridComponent, LegendComponent } = await import('echarts/components');
  const { LabelLayout } = await import('echarts/features');
  const { SVGRenderer } = await import('echarts/renderers');
  echarts.use([CustomChart, LineChart, ScatterChart, GridComponent, LegendComponent, LabelLayout, SVGRenderer]);
  const drawings = SIZES.map(({ name, width, height }) => {
    const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
    try {
      chart.setOption({
        animation: false,
        textStyle: { fontFamily: FONT, color: ink('text') },
        ...option(name),
      });
      return html`<div class="${name}">${new Html(chart.renderToSVGString())}</div>`;
    } finally {
      chart.dispose();
    }
  });
  return html`<div class="chart" role="img" aria-label="${label}">${drawings}</div>`;
}
