import { encodeOnnx, type Graph, GraphBuilder, int64s } from '@whet/compiler';
import { createSession, tuneModel } from '@whet/runtime/node';
import { Tensor } from 'onnxruntime-node';
import { convolution3x3, machine, type TimedRun, timeInTurns, waveFeeds } from './harness.js';

/** Images, channels in and out, height and width (the convolution keeps them), kernel. */
const shapes: readonly (readonly [number, number, number, number, 1 | 3])[] = [
  [25, 64, 64, 14, 3],
  [5, 64, 64, 14, 3],
  [25, 64, 64, 7, 3],
  [5, 64, 64, 7, 3],
  [25, 64, 64, 3, 3],
  [5, 64, 64, 3, 3],
  [2, 64, 64, 3, 3],
  [25, 128, 128, 7, 3],
  [25, 256, 256, 14, 3],
  [25, 256, 256, 7, 3],
  [5, 256, 256, 7, 3],
  [25, 320, 640, 5, 3],
  [5, 320, 640, 5, 3],
  [25, 512, 512, 4, 3],
  [25, 1280, 320, 4, 1],
  [25, 320, 1280, 4, 1],
  [25, 192, 1152, 4, 1],
  [5, 192, 1152, 4, 1],
  [25, 112, 672, 8, 1],
  [25, 64, 64, 14, 1],
];

/** A convolution or a transposed one, and of it one number for each image, as the way back from the device is not what is timed. */
function graphOf([n, channels, out, size, kernel]: (typeof shapes)[number], transposed: boolean): Graph {
  const g = new GraphBuilder();
  const x = g.input('x', [n, transposed ? out : channels, size, size]);
  const w = g.input('w', [out, channels, kernel, kernel]);
  const window =
    kernel === 3 ? convolution3x3 : ({ ...convolution3x3, kernel_shape: [1, 1], pads: [0, 0, 0, 0] } as const);
  const y = transposed
    ? g.apply('ConvTranspose', [x, w], { ...window, output_padding: [0, 0] })
    : g.apply('Conv', [x, w], window);
  const sums = g.apply('ReduceSum', [y, g.constant(int64s([1, 2, 3]))], { keepdims: 0 });
  return { name: 'y', inputs: [x, w], outputs: new Map([['sums', sums]]) };
}

const forms = { 'as it stands': async (model: Uint8Array) => model, 'in blocks': tuneModel } as const;
const threads = { one: 1, all: undefined } as const;

process.stdout.write(
  [
    `Convolutions whose kernels are given to each run, ms (median of 30, in turns). ${machine()}.`,
    '',
    `| images | kernel | threads | ${['Conv', 'ConvTranspose'].flatMap((op) => Object.keys(forms).map((form) => `${op} ${form}`)).join(' | ')} |`,
    '|---|---|---|--:|--:|--:|--:|',
    '',
  ].join('\n'),
);
for (const shape of shapes) {
  const [n, channels, out, size, kernel] = shape;
  for (const [name, count] of Object.entries(threads)) {
    const contenders: TimedRun[] = [];
    for (const transposed of [false, true]) {
      const graph = graphOf(shape, transposed);
      const feeds = Object.fromEntries(
        [...waveFeeds(graph)].map(([input, { data, shape: dims }]) => [
          input,
          new Tensor('float32', data as Float32Array, dims),
        ]),
      );
      for (const [form, prepare] of Object.entries(forms)) {
        const session = await createSession(await prepare(encodeOnnx(graph)), count ? { threads: count } : {});
        contenders.push({ name: `${transposed} ${form}`, run: () => session.run(feeds) });
      }
    }
    const times = await timeInTurns(contenders, 30);
    const cells = contenders.map((contender) => (times.get(contender.name) ?? Number.NaN).toFixed(2));
    process.stdout.write(
      `| ${n} x ${channels} x ${size} x ${size} to ${out} | ${kernel} x ${kernel} | ${name} | ${cells.join(' | ')} |\n`,
    );
  }
}
