import { encodeOnnx, type Graph, GraphBuilder, int64s, turnedConvolution } from '@whet/compiler';
import { createSession as createNodeSession } from '@whet/runtime/node';
import { createSession as createWebSession } from '@whet/runtime/web';
import { type InferenceSession, Tensor } from 'onnxruntime-common';
import { convolution3x3, machine, type TimedRun, timeInTurns, waveFeeds } from './harness.js';

/** Images, channels in and out, height and width (the convolution keeps them), kernel: Conv4's blocks, and those of mobile networks. */
const shapes: readonly (readonly [number, number, number, number, 1 | 3])[] = [
  [25, 64, 64, 14, 3],
  [5, 64, 64, 14, 3],
  [100, 64, 64, 14, 3],
  [25, 32, 32, 14, 3],
  [25, 64, 64, 10, 3],
  [25, 64, 64, 7, 3],
  [25, 128, 64, 7, 3],
  [25, 64, 128, 7, 3],
  [25, 128, 128, 3, 3],
  [25, 64, 64, 3, 3],
  [25, 320, 1280, 4, 1],
  [25, 1152, 320, 4, 1],
  [25, 192, 1152, 4, 1],
  [5, 320, 1280, 4, 1],
  [25, 112, 672, 8, 1],
  [25, 64, 64, 14, 1],
];

/** The gradient for the input, and of it one number for each image, as the way back from the device is not what is timed. */
function graphOf([n, channels, out, size, kernel]: (typeof shapes)[number], turn: boolean): Graph {
  const g = new GraphBuilder();
  const [dy, w] = [g.input('dy', [n, out, size, size]), g.input('w', [out, channels, kernel, kernel])];
  const window =
    kernel === 3 ? convolution3x3 : ({ ...convolution3x3, kernel_shape: [1, 1], pads: [0, 0, 0, 0] } as const);
  const dx = turn
    ? turnedConvolution(g, [dy, w], window)
    : g.apply('ConvTranspose', [dy, w], { ...window, output_padding: [0, 0] });
  const sums = g.apply('ReduceSum', [dx, g.constant(int64s([1, 2, 3]))], { keepdims: 0 });
  return { name: 'dx', inputs: [dy, w], outputs: new Map([['sums', sums]]) };
}

const runtimes = {
  'node, 1 thread': (model: Uint8Array) => createNodeSession(model, { threads: 1 }),
  'node, all threads': (model: Uint8Array) => createNodeSession(model, { spinning: false }),
  wasm: createWebSession,
} as const;
const forms = ['ConvTranspose', 'Conv of turned kernels'] as const;

process.stdout.write(
  [
    `Input gradients of convolutions, ms (median of 30, in turns). ${machine()}; WebAssembly on one thread.`,
    '',
    `| images | kernel | runtime | ${forms.join(' | ')} |`,
    '|---|---|---|---|---|',
    '',
  ].join('\n'),
);
for (const shape of shapes) {
  const [n, channels, out, size, kernel] = shape;
  for (const [runtime, create] of Object.entries<(model: Uint8Array) => Promise<InferenceSession>>(runtimes)) {
    const contenders: TimedRun[] = [];
    for (const name of forms) {
      const graph = graphOf(shape, name !== 'ConvTranspose');
      const session = await create(encodeOnnx(graph));
      const feeds = Object.fromEntries(
        [...waveFeeds(graph)].map(([input, { data, shape }]) => [
          input,
          new Tensor('float32', data as Float32Array, shape),
        ]),
      );
      contenders.push({ name, run: () => session.run(feeds) });
    }
    const times = await timeInTurns(contenders, 30);
    const cells = forms.map((name) => (times.get(name) ?? Number.NaN).toFixed(2));
    process.stdout.write(
      `| ${n} x ${channels} x ${size} x ${size} from ${out} | ${kernel} x ${kernel} | ${runtime} | ${cells.join(' | ')} |\n`,
    );
  }
}
