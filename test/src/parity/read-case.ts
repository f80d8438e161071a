import { float32s, type TestModel, type TestNode } from '../../../compiler/src/onnx/models.test.helper.js';

export const ofImage = { x: [2, 4, 7, 9] } as const;
export const series = (dims: readonly number[]) =>
  float32s(
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.7 + dims.length)),
  );

export type Attributes = NonNullable<TestNode['attributes']>;

export interface ReadCase extends TestModel {
  readonly name: string;
  /** Operator with which the table also gets what this case needs of one that it has. */
  readonly until?: string;
}

/** One node on `x`; further inputs are initializers. */
export function one(
  name: string,
  opset: number,
  node: Partial<TestNode> & { op: string },
  more: Partial<ReadCase> = {},
): ReadCase {
  const inputs = ['x', ...Object.keys(more.initializers ?? {})];
  return { name: `${node.op}-${opset} ${name}`, nodes: [{ inputs, ...node }], inputs: ofImage, opset, ...more };
}
