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
  readonly #names = new Map<string, string>();
  readonly #tensors = new Map<string, StoredTensor>();

  /** Keeps a tensor and returns its name: that of an equal one that is there, else `name`, or one that begins so. */
  put(name: string, tensor: StoredTensor): string {
    const { buffer, byteOffset, byteLength } = tensor.data;
    const hash = createHash('sha256').update(new Uint8Array(buffer, byteOffset, byteLength));
    const content = `${tensor.dtype} ${hash.digest('hex')}`;
    const known = this.#names.get(content);
    if (known !== undefined) return known;
    let free = name;
    for (let suffix = 1; this.#tensors.has(free); suffix++) free = `${name}_${suffix}`;
    this.#names.set(content, free);
    this.#tensors.set(free, tensor);
    return free;
  }

  putWeight(graph: string, { name, dataType, shape, bytes }: ExternalWeight): string {
    const dtype = dtypes[dataType];
    if (!dtype) throw new Error(`${graph}: "${name}": element type ${dataType} cannot be kept`);
    return this.put(`${graph}/${name}`, storedTensor(dtype, shape, bytes));
  }

  /** The file, and where in it the bytes of a tensor begin. */
  write(): { readonly bytes: Uint8Array; readonly offsetOf: (name: string) => number } {
    const bytes = writeSafetensors({ tensors: this.#tensors, metadata: {} });
    const { places } = readPlaces(bytes);
    return { bytes, offsetOf: (name) => places.get(name)?.offset as number };
  }
}
