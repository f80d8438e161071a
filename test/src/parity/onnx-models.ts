import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DType, Tensor } from '@whet/compiler';
import { dataTypes, fromHalf, onnxMessage } from '@whet/compiler';

/** The messages of the ONNX format, as far as the node tests have them. */
export interface ParsedTensor {
  readonly dims?: readonly LongLike[];
  readonly dataType: number;
  readonly name?: string;
  readonly rawData?: Uint8Array;
  readonly floatData?: readonly number[];
  readonly int32Data?: readonly number[];
  readonly int64Data?: readonly LongLike[];
  readonly doubleData?: readonly number[];
}

type LongLike = number | { toString(): string };

export interface ParsedAttribute {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: LongLike;
  readonly s?: Uint8Array;
  readonly t?: ParsedTensor;
  readonly floats?: readonly number[];
  readonly ints?: readonly LongLike[];
}

export interface ParsedNode {
  readonly input?: readonly string[];
  readonly output: readonly string[];
  readonly opType: string;
  readonly domain?: string;
  readonly attribute?: readonly ParsedAttribute[];
}

interface ValueMessage {
  readonly name: string;
  readonly type?: { readonly tensorType?: { readonly elemType: number } };
}

export interface ParsedModel {
  readonly opsetImport: readonly { readonly domain?: string; readonly version: LongLike }[];
  readonly graph: {
    readonly node: readonly ParsedNode[];
    readonly initializer?: readonly ParsedTensor[];
    readonly input?: readonly ValueMessage[];
    readonly output: readonly ValueMessage[];
  };
}

/** Something the table of operators does not have: the case counts as unsupported, not as failed. */
export class Unsupported extends Error {
  override readonly name = 'Unsupported';
}

const dtypes = new Map<number, DType>(Object.entries(dataTypes).map(([dtype, code]) => [code, dtype as DType]));

export function dtypeOf(code: number): DType {
  const dtype = dtypes.get(code);
  if (!dtype) throw new Unsupported(`data type ${code}`);
  return dtype;
}

function rawNumbers(dtype: DType, bytes: Uint8Array): ArrayLike<number> {
  const { buffer } = Uint8Array.from(bytes);
  switch (dtype) {
    case 'float32':
      return new Float32Array(buffer);
    case 'float64':
      return new Float64Array(buffer);
    case 'float16':
      return Array.from(new Uint16Array(buffer), fromHalf);
    case 'int64':
      return Array.from(new BigInt64Array(buffer), Number);
    case 'int32':
      return new Int32Array(buffer);
    case 'int8':
      return new Int8Array(buffer);
    default:
      return new Uint8Array(buffer);
  }
}

export function toTensor(message: ParsedTensor): Tensor {
  const dtype = dtypeOf(message.dataType);
  const shape = (message.dims ?? []).map(Number);
  const size = shape.reduce((a, b) => a * b, 1);
  const typed = [message.floatData, message.doubleData, message.int64Data, message.int32Data].find(
    (list) => list?.length,
  );
  const numbers = typed?.map(Number) ?? rawNumbers(dtype, message.rawData ?? new Uint8Array());
  const data = Float64Array.from(dtype === 'float16' && typed ? Array.from(numbers, fromHalf) : numbers);
  if (data.length !== size) throw new Error(`tensor "${message.name}" has ${data.length} of ${size} values`);
  return { dtype, shape, data };
}

function decode<T>(type: 'ModelProto' | 'TensorProto', path: string): T {
  return onnxMessage(type).decode(readFileSync(path)) as unknown as T;
}

export const readModelFile = (path: string) => decode<ParsedModel>('ModelProto', path);

/** The tensors `<prefix>_0.pb`, `<prefix>_1.pb`, ... of a data set; read when asked for, as some are not tensors. */
export function readTensors(folder: string, prefix: 'input' | 'output'): (() => Tensor)[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.startsWith(`${prefix}_`));
  return files
    .sort((a, b) => Number(a.replace(/\D/g, '')) - Number(b.replace(/\D/g, '')))
    .map((file) => () => toTensor(decode<ParsedTensor>('TensorProto', join(folder, file))));
}
