import type { DType, NumericArray, Tensor } from '../tensor.js';
import { sizeOf } from '../tensor.js';
import { OnnxError } from './errors.js';
import type { TensorMessage } from './messages.js';
import { externalOf, type OnnxTensor } from './proto.js';
import { dataTypeNames } from './schema.js';

/** Reads `length` bytes at `offset` of a file named relative to the model. */
export type ExternalReader = (location: string, offset: number, length: number) => Uint8Array;

interface ElementType {
  /** What holds its values in a graph: half and double precision become float32, every integer int64. */
  readonly dtype: DType;
  /** Bytes of one element in raw data. */
  readonly bytes: number;
  readonly field: 'floatData' | 'int32Data' | 'int64Data' | 'doubleData' | 'uint64Data';
  readonly raw: (bytes: Uint8Array<ArrayBuffer>) => NumericArray;
  readonly typed: (values: readonly number[]) => NumericArray;
}

/** The value of a float16 by its bits: sign, 5 bits of exponent, 10 of fraction. */
export function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * 2 ** -24 * fraction;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * 2 ** (exponent - 25) * (1024 + fraction);
}

/** float32 values of bfloat16 bits: the upper half of a float32. */
function fromBfloat16(bits: ArrayLike<number>): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (value) => value << 16).buffer);
}

/** Whole numbers as doubles. INT64_MAX and its like, "as far as possible", become the largest exact integer. */
function exact(value: number | bigint): number {
  const result = Number(value);
  if (Number.isSafeInteger(result)) return result;
  if (Math.abs(result) >= 2 ** 62) return Math.sign(result) * Number.MAX_SAFE_INTEGER;
  throw new RangeError(`the integer ${value} is not exact as a double`);
}

const halfToFloat = (bits: ArrayLike<number>) => Float32Array.from(bits, (value) => fromFloat16(value & 0xffff));
const integers = { dtype: 'int64', field: 'int32Data', typed: (v: readonly number[]) => Int32Array.from(v) } as const;

/** Element types by TensorProto.DataType. Little endian, as the format and every JavaScript engine's platform is. */
const elementTypes: { readonly [dataType: number]: ElementType } = {
  1: {
    dtype: 'float32',
    bytes: 4,
    field: 'floatData',
    raw: (b) => new Float32Array(b.buffer),
    typed: (v) => Float32Array.from(v),
  },
  2: { ...integers, bytes: 1, raw: (b) => b },
  3: { ...integers, bytes: 1, raw: (b) => Int32Array.from(new Int8Array(b.buffer)) },
  4: { ...integers, bytes: 2, raw: (b) => Int32Array.from(new Uint16Array(b.buffer)) },
  5: { ...integers, bytes: 2, raw: (b) => Int32Array.from(new Int16Array(b.buffer)) },
  6: { ...integers, bytes: 4, raw: (b) => new Int32Array(b.buffer) },
  7: {
    dtype: 'int64',
    bytes: 8,
    field: 'int64Data',
    raw: (b) => Float64Array.from(new BigInt64Array(b.buffer), exact),
    typed: (v) => Float64Array.from(v, exact),
  },
  9: {
    dtype: 'bool',
    bytes: 1,
    field: 'int32Data',
    raw: (b) => b.map((value) => Number(value !== 0)),
    typed: (v) => Uint8Array.from(v, (value) => Number(value !== 0)),
  },
  10: {
    dtype: 'float32',
    bytes: 2,
    field: 'int32Data',
    raw: (b) => halfToFloat(new Uint16Array(b.buffer)),
    typed: halfToFloat,
  },
  11: {
    dtype: 'float32',
    bytes: 8,
    field: 'doubleData',
    raw: (b) => Float32Array.from(new Float64Array(b.buffer)),
    typed: (v) => Float32Array.from(v),
  },
  12: {
    dtype: 'int64',
    bytes: 4,
    field: 'uint64Data',
    raw: (b) => Float64Array.from(new Uint32Array(b.buffer)),
    typed: (v) => Float64Array.from(v, exact),
  },
  13: {
    dtype: 'int64',
    bytes: 8,
    field: 'uint64Data',
    raw: (b) => Float64Array.from(new BigUint64Array(b.buffer), exact),
    typed: (v) => Float64Array.from(v, exact),
  },
  16: {
    dtype: 'float32',
    bytes: 2,
    field: 'int32Data',
    raw: (b) => fromBfloat16(new Uint16Array(b.buffer)),
    typed: fromBfloat16,
  },
};

/** Name of a TensorProto.DataType, for messages. */
export const dataTypeName = (dataType: number): string => dataTypeNames[dataType] ?? `number ${dataType}`;

/** The graph's dtype for an ONNX element type, or undefined where there is none. */
export function graphDType(dataType: number): DType | undefined {
  return elementTypes[dataType]?.dtype;
}

/** Throws where the name of an external file leaves the model's folder, as far as its spelling tells. */
function expectInside(tensor: string, location: string): void {
  const inside = !/^([/\\]|[a-z]:|[a-z]+:\/\/)/i.test(location) && !location.includes('\0');
  if (inside && !location.split(/[/\\]/).includes('..')) return;
  throw new OnnxError(`tensor "${tensor}": external data in "${location}" is outside the model's folder`);
}

/**
 * Checks that a tensor's data is of a known type and as long as its dims say, without allocating it; returns its
 * element type. Throws {@link OnnxError} naming the tensor.
 */
export function checkTensor(tensor: OnnxTensor): ElementType {
  const fail = (reason: string): never => {
    throw new OnnxError(`tensor "${tensor.name}": ${reason}`);
  };
  const type = elementTypes[tensor.dataType];
  if (!type) return fail(`element type ${dataTypeName(tensor.dataType)} is not supported`);
  const shape = `[${tensor.dims.join(', ')}]`;
  if (tensor.dims.some((dim) => !Number.isSafeInteger(dim) || dim < 0)) return fail(`dims ${shape} are not sizes`);
  const count = sizeOf(tensor.dims);
  if (!Number.isSafeInteger(count * type.bytes)) return fail(`dims ${shape} are too large`);
  if (tensor.external) {
    const { location, length } = tensor.external;
    expectInside(tensor.name, location);
    if (length !== undefined && length !== count * type.bytes) {
      return fail(
        `${dataTypeName(tensor.dataType)}${shape} takes ${count * type.bytes} bytes, "${location}" has ${length}`,
      );
    }
    return type;
  }
  if (tensor.rawData) {
    if (tensor.rawData.length !== count * type.bytes) {
      const expected = `${dataTypeName(tensor.dataType)}${shape} takes ${count * type.bytes} bytes`;
      return fail(`${expected}, raw data has ${tensor.rawData.length}`);
    }
  } else if (tensor[type.field].length !== count) {
    return fail(`${dataTypeName(tensor.dataType)}${shape} takes ${count} values, got ${tensor[type.field].length}`);
  }
  return type;
}

/** A tensor of a file that is rewritten, as far as its form is checked. */
function storedTensor(message: TensorMessage): OnnxTensor {
  const { name, dataType, rawData, dataLocation } = message;
  return {
    name,
    dataType,
    dims: message.dims.map(Number),
    ...(rawData.length > 0 ? { rawData } : {}),
    floatData: message.floatData,
    int32Data: message.int32Data,
    int64Data: message.int64Data as number[],
    doubleData: message.doubleData,
    uint64Data: message.uint64Data as number[],
    ...(dataLocation === 1 ? { external: externalOf(message.externalData, name) } : {}),
  };
}

/** The values of a tensor of a file that is rewritten, which stand in it. Throws as {@link decodeTensor}. */
export const storedValues = (message: TensorMessage): Tensor => decodeTensor(storedTensor(message));

/** Checks a tensor that is left as it is, where its element type is one that is read; others are for the runtime. */
export function checkStored(message: TensorMessage): void {
  if (elementTypes[message.dataType]) checkTensor(storedTensor(message));
}

/** The bytes of a tensor whose values are in another file, of any element type. */
export function readExternal(message: TensorMessage, reader: ExternalReader | undefined): Uint8Array {
  const tensor = storedTensor(message);
  const { location, offset, length: said } = externalOf(message.externalData, tensor.name);
  const type = elementTypes[tensor.dataType];
  const length = type ? sizeOf(tensor.dims) * type.bytes : said;
  expectInside(tensor.name, location);
  if (length === undefined) {
    throw new OnnxError(`tensor "${tensor.name}": external data in "${location}" of unknown length`);
  }
  return bytesAt(tensor.name, location, offset, length, reader);
}

function bytesAt(
  name: string,
  location: string,
  offset: number,
  length: number,
  reader: ExternalReader | undefined,
): Uint8Array {
  if (!reader) throw new OnnxError(`tensor "${name}": its values are in "${location}", which was not given`);
  let bytes: Uint8Array;
  try {
    bytes = reader(location, offset, length);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxError(`tensor "${name}": external data in "${location}": ${reason}`, { cause });
  }
  if (bytes.length === length) return bytes;
  throw new OnnxError(`tensor "${name}": expected ${length} bytes of "${location}", got ${bytes.length}`);
}

/** The values of a tensor. Throws {@link OnnxError} where they are missing, too few, or cannot be held. */
export function decodeTensor(tensor: OnnxTensor, external?: ExternalReader): Tensor {
  const type = checkTensor(tensor);
  const shape = tensor.dims;
  const { external: place } = tensor;
  const raw = place
    ? bytesAt(tensor.name, place.location, place.offset, sizeOf(shape) * type.bytes, external)
    : tensor.rawData;
  try {
    return { dtype: type.dtype, shape, data: raw ? type.raw(Uint8Array.from(raw)) : type.typed(tensor[type.field]) };
  } catch (cause) {
    throw new OnnxError(`tensor "${tensor.name}": ${(cause as Error).message}`, { cause });
  }
}
