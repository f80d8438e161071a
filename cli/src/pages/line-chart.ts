import { axis, type ChartSize, legend, legendHeight, renderChart } from './chart.js';

export type Point = readonly [step: number, value: number];
export type Line = {
  readonly name: string;
  readonly points: readonly Point[];
  readonly color: string;
  /** A line of dashes, where colours run out. */
  readonly dashed?: boolean;
};

const POINTS_WITH_MARKS = 60;

function lineSeries({ name, points, color, dashed }: Line): object {
  return {
    ...{ name, type: 'line', silent: true, data: points },
    symbol: 'circle',
    symbolSize: 5,
    showSymbol: points.length <= POINTS_WITH_MARKS,
    itemStyle: { color },
    lineStyle: { color, width: 2, type: dashed ? 'dashed' : 'solid' },
  };
}

/** Lines over outer steps, or over what `x` says. */
export function lineChart(
  label: string,
  yName: string,
  lines: readonly Line[],
  more: { x?: string; y?: object; series?: object[] } = {},
) {
  return renderChart(label, (size: ChartSize) => ({
    grid: {
      left: 56,
      right: 18,
      top: legendHeight(
        size,
        lines.map(({ name }) => name),
      ),
      bottom: 46,
    },
    legend: { ...legend, data: lines.map(({ name }) => name) },
    xAxis: axis(more.x ?? 'outer step', { type: 'value', splitLine: { show: false } }),
    yAxis: axis(yName, { type: 'value', nameGap: 40, scale: true, ...more.y }),
    series: [...(more.series ?? []), ...lines.map(lineSeries)],
  }));
}
