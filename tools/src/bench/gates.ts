import { encodeOnnx, type Graph, GraphBuilder, int64s, sizeOf } from '@whet/compiler';
import { createSession } from '@whet/runtime/node';
import { generatorFor } from '@whet/trainer';
import { Tensor } from 'onnxruntime-node';
import { machine, type TimedRun, timeInTurns } from './harness.js';

/** Activations of 25 images: channels, height and width. */
const shapes: readonly (readonly [number, number])[] = [
  [64, 28],
  [64, 14],
  [64, 7],
  [64, 3],
  [1152, 4],
];

/** Numbers from 0 to 1 without a pattern: a processor would guess one. */
function noise(name: string, shape: readonly number[]): Tensor {
  const random = generatorFor(0, name, 0);
  const data = Float32Array.from({ length: sizeOf(shape) }, () => random.uniform());
  return new Tensor('float32', data, shape);
}

/** The gradient of ReLU at values of which `share` are above 0, and of it one number for each image. */
function graphOf([channels, size]: (typeof shapes)[number], share: number, asProduct: boolean): Graph {
  const g = new GraphBuilder();
  const shape = [25, channels, size, size];
  const [x, dy] = [g.input('x', shape), g.input('dy', shape)];
  const open = g.apply('Greater', [x, g.scalar(1 - share)], {});
  const dx = asProduct
    ? g.apply('Mul', [dy, g.apply('Cast', [open], { to: 'float32' })], {})
    : g.apply('Where', [open, dy, g.scalar(0)], {});
  const sums = g.apply('ReduceSum', [dx, g.constant(int64s([1, 2, 3]))], { keepdims: 0 });
  return { name: 'gate', inputs: [x, dy], outputs: new Map([['sums', sums]]) };
}

const forms = { Where: false, product: true } as const;

process.stdout.write(
  [
    `Gradients of ReLU, ms (median of 30, in turns). ${machine()}.`,
    '',
    `| activations | above 0 | ${Object.keys(forms).join(' | ')} |`,
    '|---|--:|--:|--:|',
    '',
  ].join('\n'),
);
for (const shape of shapes) {
  for (const share of [0.5, 0.9, 1]) {
    const contenders: TimedRun[] = [];
    for (const [name, asProduct] of Object.entries(forms)) {
      const graph = graphOf(shape, share, asProduct);
      const session = await createSession(encodeOnnx(graph));
      const feeds = Object.fromEntries(
        graph.inputs.map(({ name: key, shape: dims }) => [key, noise(key, dims as readonly number[])]),
      );
      contenders.push({ name, run: () => session.run(feeds) });
    }
    const times = await timeInTurns(contenders, 30);
    const cells = Object.keys(forms).map((name) => (times.get(name) ?? Number.NaN).toFixed(2));
    const [channels, size] = shape;
    process.stdout.write(`| 25 x ${channels} x ${size} x ${size} | ${100 * share} % | ${cells.join(' | ')} |\n`);
  }
}
