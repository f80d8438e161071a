import { encodeOnnx, type Graph, GraphBuilder, int64s, transposedAsConvolution, type Value } from '@whet/compiler';
import { createSession as createNodeSession } from '@whet/runtime/node';
import { createSession as createWebSession } from '@whet/runtime/web';
import { Tensor } from 'onnxruntime-common';
import { convolution3x3, machine, type TimedRun, timeInTurns, waveFeeds } from './harness.js';

/** Images, channels in and out, height and width (the convolution keeps them): blocks of Conv4 in training and adapting. */
const shapes: readonly (readonly [number, number, number, number])[] = [
  [25, 64, 64, 14],
  [5, 64, 64, 14],
  [100, 64, 64, 14],
  [25, 32, 32, 14],
  [25, 64, 64, 10],
  [25, 64, 64, 7],
  [25, 64, 64, 3],
];

/** The gradient for the input, and of it one number for each image, as the way back from the device is not what is timed. */
function graphOf(n: number, channels: number, out: number, size: number, turn: boolean): Graph {
  const g = new GraphBuilder();
  const [dy, w] = [g.input('dy', [n, out, size, size]), g.input('w', [out, channels, 3, 3])];
  const dx = g.apply('ConvTranspose', [dy, w], { ...convolution3x3, output_padding: [0, 0] });
  const sums = (value: Value) => g.apply('ReduceSum', [value, g.constant(int64s([1, 2, 3]))], { keepdims: 0 });
  const graph = { name: 'dx', inputs: [dy, w], outputs: new Map([['sums', sums(dx)]]) };
  return turn ? transposedAsConvolution(graph).graph : graph;
}

const runtimes = { node: createNodeSession, wasm: createWebSession } as const;
const forms = ['ConvTranspose', 'Conv of turned kernels'] as const;

process.stdout.write(
  [
    `Input gradients of a 3x3 convolution, ms (median of 30, in turns). ${machine()}; WebAssembly on one thread.`,
    'Images of up to 64 positions stay as they are: their columns differ by chance alone.',
    '',
    `| images | runtime | ${forms.join(' | ')} |`,
    '|---|---|---|---|',
    '',
  ].join('\n'),
);
for (const [n, channels, out, size] of shapes) {
  for (const [runtime, create] of Object.entries(runtimes)) {
    const contenders: TimedRun[] = [];
    for (const name of forms) {
      const graph = graphOf(n, channels, out, size, name !== 'ConvTranspose');
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
      `| ${n} x ${channels} x ${size} x ${size} from ${out} | ${runtime} | ${cells.join(' | ')} |\n`,
    );
  }
}
