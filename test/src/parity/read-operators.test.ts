import { encodeOnnx, evaluate, makeTensor, OnnxError, operators, readOnnx } from '@whet/compiler';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { encodeModel } from '../../../compiler/src/onnx/models.test.helper.js';
import { onnxCases } from './read-cases.js';
import { relativeError } from './reference.js';

/** Operators that the table does not have (yet), by the reader's own list. */
function lackingOperators(bytes: Uint8Array): string[] {
  try {
    readOnnx(bytes);
    return [];
  } catch (error) {
    if (!(error instanceof OnnxError)) throw error;
    const needed = error.problems.map(({ op, reason }) =>
      reason === undefined ? op : /^needs the operator (\w+)$/.exec(reason)?.[1],
    );
    return needed.filter((op) => op !== undefined);
  }
}

async function run(bytes: Uint8Array, feeds: Record<string, ort.Tensor>) {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const outputs = await session.run(feeds);
  await session.release();
  const output = outputs[session.outputNames[0] as string] as ort.Tensor;
  return { dims: output.dims, data: Float64Array.from(output.data as Float32Array, Number) };
}

describe('reading operators as onnxruntime does, by operator set', () => {
  for (const model of onnxCases) {
    const bytes = encodeModel(model);
    const lacking = lackingOperators(bytes);
    if (model.until && !Object.hasOwn(operators, model.until)) lacking.push(model.until);
    const name = lacking.length > 0 ? `${model.name} (the table lacks ${lacking.join(', ')})` : model.name;
    it.skipIf(lacking.length > 0)(name, async () => {
      const shape = (model.inputs?.['x'] ?? []).map((dim) => (typeof dim === 'number' ? dim : 2));
      const x = makeTensor(
        shape,
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.cos(i * 2.3)),
      );
      const feeds = { x: new ort.Tensor('float32', x.data, shape) };
      const graph = readOnnx(bytes);
      const expected = await run(bytes, feeds);
      const again = await run(encodeOnnx(graph), feeds);
      const exact = [...evaluate(graph, new Map([['x', x]])).values()][0];
      expect([again.dims, exact?.shape]).toEqual([expected.dims, expected.dims]);
      expect(relativeError(again.data, expected.data, 1)).toBeLessThan(1e-6);
      expect(relativeError(exact?.data ?? [], expected.data, 1)).toBeLessThan(1e-5);
    });
  }
});
