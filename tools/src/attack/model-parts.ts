import { onnxMessage } from '@whet/compiler';

/** A field of a message, as `onnx.proto` calls it. */
export type OnnxFields = Readonly<Record<string, unknown>>;

export const INT = 2;
export const GRAPH = 5;
export const INTS = 7;
export const FLOAT = 1;
export const INT64 = 7;
export const BOOL = 9;
/** Pixels of an image `[1, 4, 4]`. */
export const IMAGE_SIDE = 4;

export const nodeFields = (
  opType: string,
  input: readonly string[],
  output: string,
  attribute: readonly OnnxFields[] = [],
): OnnxFields => ({
  opType,
  input,
  output: [output],
  attribute,
});
export const int = (name: string, i: number): OnnxFields => ({ name, type: INT, i });
export const ints = (name: string, values: readonly number[]): OnnxFields => ({ name, type: INTS, ints: values });
export const floats = (
  name: string,
  dims: readonly number[],
  value: (i: number) => number = () => 0.01,
): OnnxFields => {
  const data = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => value(i));
  return { name, dims, dataType: FLOAT, rawData: new Uint8Array(data.buffer) };
};
export const int64Fields = (
  name: string,
  values: readonly number[],
  dims: readonly number[] = [values.length],
): OnnxFields => ({
  name,
  dims,
  dataType: INT64,
  rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});
export const bool = (name: string, value: boolean): OnnxFields => ({
  name,
  dims: [],
  dataType: BOOL,
  int32Data: [Number(value)],
});
export const graphOf = (name: string, g: OnnxFields): OnnxFields => ({ name, type: GRAPH, g: encode('GraphProto', g) });
export const counted = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

export function encode(type: 'ModelProto' | 'GraphProto', fields: OnnxFields): Uint8Array {
  const message = onnxMessage(type);
  return message.encode(message.fromObject(fields)).finish();
}

export const valueInfo = (name: string, elemType: number, dims?: readonly (number | string)[]): OnnxFields => {
  const dim = dims?.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType, ...(dim ? { shape: { dim } } : {}) } } };
};

/** Images `x [N, 1, 4, 4]`, what an attack does to them, and a classifier of 2 classes above its last value. */
export function classifier(
  middle: readonly OnnxFields[],
  last: string,
  initializers: readonly OnnxFields[] = [],
  opset = 17,
) {
  return encode('ModelProto', {
    irVersion: 8,
    opsetImport: [{ domain: '', version: opset }],
    graph: {
      name: 'hostile',
      node: [
        ...middle,
        nodeFields('Flatten', [last], 'flat', [int('axis', 1)]),
        nodeFields('Gemm', ['flat', 'fc.weight', 'fc.bias'], 'logits'),
      ],
      input: [valueInfo('x', FLOAT, ['N', 1, IMAGE_SIDE, IMAGE_SIDE])],
      output: [valueInfo('logits', FLOAT, ['N', 2])],
      initializer: [
        ...initializers,
        floats('fc.weight', [IMAGE_SIDE * IMAGE_SIDE, 2], (i) => Math.sin(i)),
        floats('fc.bias', [2]),
      ],
    },
  });
}
