import { onnxMessage } from '@whet/compiler';
import * as ort from 'onnxruntime-node';

/** What the last layer of the text-direction classifier reads. */
export const DIRECTION_FEATURES = 'reshape2_0.tmp_0';

interface TensorMessage {
  name: string;
  rawData: Uint8Array;
  floatData: number[];
}

interface ModelMessage {
  graph: {
    initializer: TensorMessage[];
    node: { output: string[]; attribute: { t: TensorMessage }[] }[];
    output: object[];
  };
}

/** The file with weights replaced, initializers or Constants, and other outputs. */
export function modelWith(
  bytes: Uint8Array,
  values: ReadonlyMap<string, Float32Array>,
  ...outputs: readonly string[]
): Uint8Array {
  const message = onnxMessage('ModelProto');
  const model = message.decode(bytes);
  const { graph } = model as unknown as ModelMessage;
  for (const [name, data] of values) {
    const tensor =
      graph.initializer.find((initializer) => initializer.name === name) ??
      graph.node.find(({ output }) => output.includes(name))?.attribute[0]?.t;
    if (!tensor) throw new Error(`no weight "${name}"`);
    tensor.rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    tensor.floatData = [];
  }
  graph.output = outputs.map((name) => ({ name, type: { tensorType: { elemType: 1 } } }));
  return message.encode(model).finish();
}

export async function runModel(model: Uint8Array | string, feeds: Record<string, ort.Tensor>) {
  const session = await ort.InferenceSession.create(model as string, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}
