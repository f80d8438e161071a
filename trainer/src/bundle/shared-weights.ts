import { createHash } from 'node:crypto';
import type { ExternalWeight } from '@whet/compiler';
import { readPlaces, type StoredDType, type StoredTensor, storedTensor, writeSafetensors } from '@whet/runtime/format';

/** The file of a bundle that holds its weights. */
export const WEIGHTS_FILE = 'weights.safetensors';

/** Names of ONNX's element types (TensorProto.DataType) in safetensors. */
const dtypes: Readonly<Record<number, StoredDType>> = {
  1: 'F32',
  2: 'U8',
  3: 'I8',
  4: 'U16',
  5: 'I16',
  6: 'I32',
  7: 'I64',
  9: 'BOOL',
  10: 'F16',
  11: 'F64',
  12: 'U32',
  13: 'U64',
  16: 'BF16',
};

/** Weights of all graphs of a bundle, each kept once, however many of them have it. */
export class SharedWeights {
  /** Names of tensors by what is in them; several where equal bytes have several shapes. */
  readonly #names = new Map<string, string[]>();
  readonly #tensors = new Map<string, StoredTensor>();

  /**
   * Keeps a tensor and returns its name: that of one of the same shape and bytes that is there, else `name`, or one that begins
   * so. Where `ofBytes` is set, any shape will do.
   */
  put(name: string, tensor: StoredTensor, ofBytes = false): string {
    const { buffer, byteOffset, byteLength } = tensor.data;
    const hash = createHash('sha256').update(new Uint8Array(buffer, byteOffset, byteLength));
    const content = `${tensor.dtype} ${hash.digest('hex')}`;
    const alike = this.#names.get(content) ?? [];
    const known = alike.find((each) => ofBytes || `${this.#tensors.get(each)?.shape}` === `${tensor.shape}`);
    if (known !== undefined) return known;
    let free = name;
    for (let suffix = 1; this.#tensors.has(free); suffix++) free = `${name}_${suffix}`;
    this.#names.set(content, [...alike, free]);
    this.#tensors.set(free, tensor);
    return free;
  }

  putWeight(graph: string, { name, dataType, shape, bytes }: ExternalWeight): string {
    const dtype = dtypes[dataType];
    if (!dtype) throw new Error(`${graph}: "${name}": element type ${dataType} cannot be kept`);
    // A graph says itself which shape its weights have.
    return this.put(`${graph}/${name}`, storedTensor(dtype, shape, bytes), true);
  }

  /** The file, and where in it the bytes of a tensor begin. */
  write(): { readonly bytes: Uint8Array; readonly offsetOf: (name: string) => number } {
    const bytes = writeSafetensors({ tensors: this.#tensors, metadata: {} });
    const { places } = readPlaces(bytes);
    return { bytes, offsetOf: (name) => places.get(name)?.offset as number };
  }
}
