import {
  encodeOnnx,
  type Graph,
  GraphBuilder,
  gradients,
  int64s,
  lowerForCpu,
  type Value,
  weightGradientForms,
} from '@whet/compiler';
import { createSession } from '@whet/runtime/node';
import { Tensor } from 'onnxruntime-node';
import { machine, type TimedRun, timeInTurns, waveFeeds } from './harness.js';

/** Channels, height and width, kernel, stride: depthwise convolutions of mobile networks, from few positions to many. */
const shapes: readonly (readonly [number, number, number, number])[] = [
  [1152, 4, 3, 1],
  [1152, 4, 5, 1],
  [672, 8, 5, 2],
  [1152, 7, 5, 1],
  [480, 8, 3, 1],
  [480, 8, 5, 1],
  [672, 14, 5, 2],
  [240, 16, 3, 2],
];
const IMAGES = 25;
/** Of a forward part: one picture to predict, and all examples. */
const COUNTS = [1, IMAGES];

/** A graph as it is, or as it is lowered, ready to be timed. */
async function contender(name: string, graph: Graph): Promise<TimedRun> {
  const session = await createSession(encodeOnnx(graph));
  const feeds = Object.fromEntries(
    [...waveFeeds(graph)].map(([key, { data, shape }]) => [key, new Tensor('float32', data as Float32Array, shape)]),
  );
  return { name, run: () => session.run(feeds) };
}

/** A convolution, and its gradients where `isStep`, that of the weight as the graph has it or written as a convolution. */
function graphOf(
  [channels, size, kernel, stride]: (typeof shapes)[number],
  { images = IMAGES, isStep, isWritten = false }: { images?: number; isStep: boolean; isWritten?: boolean },
): Graph {
  const g = new GraphBuilder();
  const x = g.input('x', [images, channels, size, size]);
  const weight = g.input('weight', [channels, 1, kernel, kernel]);
  const pad = (kernel - 1) / 2;
  const attributes = {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    dilations: [1, 1],
    pads: [pad, pad, pad, pad],
    group: channels,
  } as const;
  const y = g.apply('Conv', [x, weight], attributes);
  if (!isStep) return { name: 'forward', inputs: [x, weight], outputs: new Map([['y', y]]) };
  const loss = g.apply('ReduceSum', [g.apply('Mul', [y, y], {}), g.constant(int64s([0, 1, 2, 3]))], { keepdims: 0 });
  const [dx, dw] = gradients(g, loss, [x, weight]) as [Value, Value];
  const dy = g.apply('Mul', [y, g.scalar(2)], {});
  const written = isWritten ? weightGradientForms.asConvolution(g, x, dy, attributes) : dw;
  return {
    name: 'step',
    inputs: [x, weight],
    outputs: new Map([
      ['dx', dx],
      ['dw', written],
    ]),
  };
}

const rows: string[] = [];
for (const shape of shapes) {
  const contenders = [
    await contender('convolutions', graphOf(shape, { isStep: true, isWritten: true })),
    await contender('as lowered', lowerForCpu(graphOf(shape, { isStep: true }))),
  ];
  for (const images of COUNTS) {
    const forward = graphOf(shape, { images, isStep: false });
    contenders.push(await contender(`forward of ${images}`, forward));
    contenders.push(
      await contender(`forward of ${images} as lowered`, lowerForCpu(forward, images > 1 ? 'many' : 'one')),
    );
  }
  const times = await timeInTurns(contenders, 20);
  const [channels, size, kernel, stride] = shape;
  const made = Math.ceil(size / stride);
  const cells = contenders.map(({ name }) => (times.get(name) ?? Number.NaN).toFixed(2));
  rows.push(
    `| ${IMAGES} x ${channels} x ${size} x ${size} | ${kernel} x ${kernel}, ${stride} | ${size ** 2 * made ** 2} | ${cells.join(' | ')} |`,
  );
}
process.stdout.write(
  [
    `A depthwise convolution and both its gradients, and by itself, ms (median of 20, in turns). ${machine()}.`,
    '',
    `| images | kernel, stride | pairs of positions | convolutions | as lowered | ${COUNTS.map((images) => `by itself, of ${images}: convolution | as lowered`).join(' | ')} |`,
    '|---|---|--:|--:|--:|--:|--:|--:|--:|',
    ...rows,
    '',
  ].join('\n'),
);
