import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Manifest } from '@whet/runtime';
import { BarChart } from 'echarts/charts';
import { GridComponent, LegendComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import sharp from 'sharp';

// How far each weight moved, by data set, out of what `whet evaluate --json` says:
// npm run docs:moved -- --bundle DIR --pattern dense --out docs/where-it-pays/moved.png "hand signs=signs.json" ...

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { bundle: { type: 'string' }, pattern: { type: 'string' }, out: { type: 'string' } },
});
const { bundle, pattern, out } = values;
if (!bundle || !pattern || !out || positionals.length === 0) {
  throw new Error('expected --bundle, --pattern, --out and NAME=FILE of each data set');
}

/** The fields of a row that are read. */
interface Row {
  readonly pattern: string;
  readonly shots: number;
  readonly moved: Readonly<Record<string, number>>;
}

const { patterns } = JSON.parse(await readFile(`${bundle}/manifest.json`, 'utf8')) as Manifest;
/** Weights of products; scales and shifts of a channel move too, and are too many for a picture. */
const names = (patterns[pattern]?.moving ?? []).filter(({ shape }) => shape.length > 1).map(({ name }) => name);
if (names.length === 0) throw new Error(`${bundle}: expected a pattern "${pattern}" that moves more than the head`);

/** Names without what all of them begin and end with. */
function short(all: readonly string[]): string[] {
  const first = all[0] as string;
  const shared = (of: (name: string, length: number) => string) => {
    let length = 0;
    while (length < first.length && all.every((name) => of(name, length + 1) === of(first, length + 1))) length++;
    return length;
  };
  const end = shared((name, length) => name.slice(-length));
  return all.map((name) =>
    name
      .slice(0, name.length - end)
      .replaceAll('_', ' ')
      .trim(),
  );
}

const series = await Promise.all(
  positionals.map(async (given) => {
    const [, name = '', path = ''] = /^(.*?)=(.*)$/.exec(given) ?? [];
    const rows = JSON.parse(await readFile(path, 'utf8')) as Row[];
    const row = rows.find((each) => each.pattern === pattern && Object.keys(each.moved).length > 0);
    if (!row) throw new Error(`${path}: expected a row of "${pattern}" that moved`);
    return { name, data: names.map((weight) => 100 * (row.moved[weight] ?? 0)) };
  }),
);

const [text, line] = ['#444', '#ccc'];
echarts.use([BarChart, GridComponent, LegendComponent, SVGRenderer]);
const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 760, height: 400 });
chart.setOption({
  animation: false,
  backgroundColor: '#fff',
  color: ['#2b6cb0', '#dd6b20', '#2f855a', '#805ad5'],
  textStyle: { fontFamily: 'Helvetica, Arial, Liberation Sans, sans-serif' },
  legend: { top: 4, itemGap: 28, textStyle: { color: text } },
  grid: { left: 56, right: 16, top: 40, bottom: 150 },
  xAxis: {
    type: 'category',
    data: short(names),
    axisLabel: { color: text, rotate: 60, interval: 0 },
    axisLine: { lineStyle: { color: line } },
    axisTick: { show: false },
  },
  yAxis: {
    type: 'value',
    name: '% of the weight’s length',
    nameLocation: 'middle',
    nameGap: 38,
    nameTextStyle: { color: text },
    axisLabel: { color: text },
    splitLine: { lineStyle: { color: line } },
  },
  series: series.map((each) => ({ ...each, type: 'bar' })),
});
await sharp(Buffer.from(chart.renderToSVGString()), { density: 144 }).png({ palette: true }).toFile(out);
chart.dispose();
