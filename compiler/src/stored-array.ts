import { toHalf } from './half.js';
import type { Tensor } from './tensor.js';

export type StoredArray =
  | Float32Array
  | Float64Array
  | Uint16Array
  | BigInt64Array
  | Int32Array
  | Int8Array
  | Uint8Array;

/** The values of a tensor in the array of its own element type, as files and runtimes hold them; no copy if they are. */
export function storedArray({ dtype, data }: Tensor): StoredArray {
  switch (dtype) {
    case 'float32':
      return data instanceof Float32Array ? data : Float32Array.from(data);
    case 'float64':
      return data instanceof Float64Array ? data : Float64Array.from(data);
    case 'float16':
      return Uint16Array.from(data, toHalf);
    case 'int64':
      return BigInt64Array.from(Array.from(data, BigInt));
    case 'int32':
      return data instanceof Int32Array ? data : Int32Array.from(data);
    case 'int8':
      return Int8Array.from(data);
    case 'uint8':
    case 'bool':
      return data instanceof Uint8Array ? data : Uint8Array.from(data);
  }
}
