import { float, float32s, type TestModel, type TestNode } from '../../../compiler/src/onnx/models.test.helper.js';

interface Case extends TestModel {
  readonly name: string;
}

const values = (dims: readonly number[], seed: number) =>
  float32s(
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.3 + seed)),
  );

/** `x` as the query; keys and values are initializers. */
function attention(
  name: string,
  query: readonly number[],
  keys: readonly number[],
  attributes: NonNullable<TestNode['attributes']> = {},
  mask?: object,
): Case {
  return {
    name: `Attention-23 ${name}`,
    opset: 23,
    irVersion: 10,
    inputs: { x: [...query] },
    nodes: [{ op: 'Attention', inputs: ['x', 'k', 'v', ...(mask ? ['mask'] : [])], attributes }],
    initializers: { k: values(keys, 1), v: values(keys, 2), ...(mask ? { mask } : {}) },
  };
}

const bools = (dims: readonly number[]) => ({
  dims,
  dataType: 9,
  int32Data: Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Number(i % 3 !== 1)),
});

/** One that shows the first two queries nothing. */
const hiding = { dims: [4, 6], dataType: 9, int32Data: Array.from({ length: 24 }, (_, i) => Number(i >= 12)) };

/** Forms of ONNX's own attention, without a past. */
export const attentionCases: readonly Case[] = [
  attention('of heads', [2, 3, 4, 5], [2, 3, 6, 5]),
  attention('with a scale', [2, 3, 4, 5], [2, 3, 6, 5], { scale: float(0.3) }),
  attention('that is causal', [2, 3, 4, 5], [2, 3, 4, 5], { is_causal: 1 }),
  attention('with a mask to add', [2, 3, 4, 5], [2, 3, 6, 5], {}, values([4, 6], 3)),
  attention('with a mask of truths', [2, 3, 4, 5], [2, 3, 6, 5], {}, bools([2, 1, 4, 6])),
  attention('with a mask that hides all', [2, 3, 4, 5], [2, 3, 6, 5], {}, hiding),
  attention('with a mask that hides all, causal', [2, 3, 4, 5], [2, 3, 6, 5], { is_causal: 1 }, hiding),
  attention('of rows', [2, 4, 15], [2, 6, 15], { q_num_heads: 3, kv_num_heads: 3 }),
  attention('that shares heads', [2, 4, 4, 5], [2, 2, 6, 5]),
  attention('that shares heads, of rows', [2, 4, 20], [2, 6, 10], { q_num_heads: 4, kv_num_heads: 2 }),
];
