import { GraphBuilder, weightGradientForms } from '@whet/compiler';
import { convolution3x3, graphContender, machine, type TimedRun, timeInTurns } from './harness.js';

/** Images, channels in and out, height and width (the convolution keeps them): blocks of Conv4 in training and adapting. */
const shapes: readonly (readonly [number, number, number, number])[] = [
  [25, 1, 64, 28],
  [25, 64, 64, 14],
  [25, 64, 64, 7],
  [25, 64, 64, 3],
  [5, 32, 32, 14],
  [75, 64, 64, 14],
  [100, 32, 32, 7],
];

/** Images, channels, height and width, kernel, stride: depthwise convolutions of EfficientNet-Lite0 at 128 pixels. */
const depthwise: readonly (readonly [number, number, number, number, number])[] = [
  [25, 1152, 4, 5, 1],
  [25, 1152, 4, 3, 1],
  [25, 672, 8, 5, 2],
  [25, 480, 8, 5, 1],
  [25, 240, 16, 3, 2],
  [25, 144, 32, 3, 2],
];

/** The same multiply-adds as one bare matrix product. */
async function floor(n: number, channels: number, out: number, size: number): Promise<TimedRun> {
  const g = new GraphBuilder();
  const [a, b] = [g.input('a', [out, n * size * size]), g.input('b', [n * size * size, 9 * channels])];
  const outputs = new Map([['y', g.apply('MatMul', [a, b], {})]]);
  return graphContender('floor', { name: 'floor', inputs: [a, b], outputs });
}

const names = Object.keys(weightGradientForms) as (keyof typeof weightGradientForms)[];
const rows: string[] = [];
for (const [n, channels, out, size] of shapes) {
  const contenders = [await floor(n, channels, out, size)];
  for (const name of names) {
    const g = new GraphBuilder();
    const [x, dy] = [g.input('x', [n, channels, size, size]), g.input('dy', [n, out, size, size])];
    const outputs = new Map([['dw', weightGradientForms[name](g, x, dy, convolution3x3)]]);
    contenders.push(await graphContender(name, { name, inputs: [x, dy], outputs }));
  }
  const times = await timeInTurns(contenders, 30);
  const base = times.get('floor') ?? Number.NaN;
  const cells = names.map((name) => {
    const time = times.get(name) ?? Number.NaN;
    return `${time.toFixed(2)} (${(time / base).toFixed(1)}x)`;
  });
  rows.push(`| ${n} x ${channels} x ${size} x ${size} to ${out} | ${base.toFixed(2)} | ${cells.join(' | ')} |`);
}
const grouped = ['asConvolution', 'asGroups'] as const;
const depthwiseRows: string[] = [];
for (const [n, channels, size, kernel, stride] of depthwise) {
  const pad = (kernel - 1) / 2;
  const contenders = [];
  for (const name of grouped) {
    const g = new GraphBuilder();
    const made = Math.floor((size - 1) / stride) + 1;
    const [x, dy] = [g.input('x', [n, channels, size, size]), g.input('dy', [n, channels, made, made])];
    const attributes = {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      dilations: [1, 1],
      pads: [pad, pad, pad, pad],
      group: channels,
    } as const;
    const outputs = new Map([['dw', weightGradientForms[name](g, x, dy, attributes)]]);
    contenders.push(await graphContender(name, { name, inputs: [x, dy], outputs }));
  }
  const times = await timeInTurns(contenders, 30);
  const cells = grouped.map((name) => (times.get(name) ?? Number.NaN).toFixed(2));
  depthwiseRows.push(
    `| ${n} x ${channels} x ${size} x ${size} | ${kernel} x ${kernel}, ${stride} | ${cells.join(' | ')} |`,
  );
}

process.stdout.write(
  [
    `Weight gradients of a 3x3 convolution, ms (median of 30, in turns). ${machine()}.`,
    '',
    `| images | floor | ${names.join(' | ')} |`,
    `|---|---|${names.map(() => '---|').join('')}`,
    ...rows,
    '',
    'Of a depthwise convolution, alike:',
    '',
    `| images | kernel, stride | ${grouped.join(' | ')} |`,
    '|---|---|---|---|',
    ...depthwiseRows,
    '',
  ].join('\n'),
);
