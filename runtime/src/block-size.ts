import { Tensor } from 'onnxruntime-common';
import { BLOCKED, blockConvolutions } from './blocked.js';
import { ELEMENT, FIELD, intsAttribute, nodeField, opsetField, valueMessage } from './onnx-message.js';
import { ort } from './ort-node.js';
import { bytesField, joinBytes, numberField } from './protobuf.js';

/** IR and operator set of the models that are tried. */
const [IR, OPSET] = [9, 18];
/** Channels that are tried: of any block. */
const CHANNELS = 64;
const [IMAGE, KERNELS] = [
  [1, CHANNELS, 1, 2],
  [CHANNELS, CHANNELS, 3, 3],
] as const;

const model = (domains: readonly Uint8Array[], graph: readonly Uint8Array[]): Uint8Array =>
  joinBytes([
    numberField(FIELD.model.irVersion, IR),
    opsetField('', OPSET),
    ...domains,
    bytesField(FIELD.model.graph, [bytesField(FIELD.graph.name, 'blocks'), ...graph]),
  ]);

async function outputOf(bytes: Uint8Array, feeds: Readonly<Record<string, Tensor>>): Promise<Float32Array> {
  // What is missing in a library is no one's error here.
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 4 });
  try {
    const { y } = await session.run(feeds);
    return (y as Tensor).data as Float32Array;
  } finally {
    await session.release();
  }
}

const tensor = (shape: readonly number[], valueAt: (i: number) => number): Tensor =>
  new Tensor(
    'float32',
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => valueAt(i)),
    shape,
  );

/** In blocks, the second place of the first channel comes after as many numbers as a block has. */
async function findBlock(): Promise<number> {
  const graph = [
    nodeField('ReorderInput', ['x'], ['y'], [], { domain: BLOCKED.domain }),
    bytesField(FIELD.graph.input, valueMessage('x', ELEMENT.float, IMAGE)),
    bytesField(FIELD.graph.output, valueMessage('y', ELEMENT.float, IMAGE)),
  ];
  const bytes = model([opsetField(BLOCKED.domain, BLOCKED.version)], graph);
  return (await outputOf(bytes, { x: tensor(IMAGE, (i) => i) })).indexOf(1);
}

/** Whether a convolution and a transposed one give what they do without blocks. */
async function areRight(block: number): Promise<boolean> {
  const attributes = [intsAttribute('kernel_shape', [3, 3]), intsAttribute('pads', [1, 1, 1, 1])];
  const plain = model(
    [],
    [
      nodeField('Conv', ['x', 'w'], ['between'], attributes),
      nodeField('ConvTranspose', ['between', 'w'], ['y'], attributes),
      bytesField(FIELD.graph.input, valueMessage('x', ELEMENT.float, IMAGE)),
      bytesField(FIELD.graph.input, valueMessage('w', ELEMENT.float, KERNELS)),
      bytesField(FIELD.graph.output, valueMessage('y', ELEMENT.float, IMAGE)),
    ],
  );
  const feeds = {
    x: tensor(IMAGE, (i) => Math.sin(0.7 * i)),
    w: tensor(KERNELS, (i) => Math.sin(1.3 * i)),
  };
  const [expected, got] = [await outputOf(plain, feeds), await outputOf(blockConvolutions(plain, block), feeds)];
  const largest = expected.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  return expected.every((each, i) => Math.abs(each - (got[i] as number)) <= 1e-4 * largest);
}

async function trySize(): Promise<number> {
  // On other processors a library may have no blocks, and read past the end of what it is asked to bring to them.
  if (process.arch !== 'x64') return 0;
  try {
    const block = await findBlock();
    return CHANNELS % block === 0 && block > 1 && (await areRight(block)) ? block : 0;
  } catch {
    return 0;
  }
}

let size: Promise<number> | undefined;

/**
 * Channels of a block in onnxruntime's convolutions on this processor, 0 where it has none. Its operators for them are no part of what it promises:
 * they are tried once, with numbers.
 */
export function blockSize(): Promise<number> {
  size ??= trySize();
  return size;
}
