import { lowerForCpu } from '../lowering/lower-for-cpu.js';
import { readOnnx } from './reading/read.js';
import { encodeOnnx } from './write.js';

/**
 * A model as this compiler writes it: opset 18, with the values inside that stand in `files` beside it, by the names that it gives them. Throws
 * {@link OnnxError} where it cannot be read.
 */
export function reencodeOnnx(model: Uint8Array, files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const external = (name: string, offset: number, length: number): Uint8Array =>
    (files.get(name) ?? new Uint8Array()).subarray(offset, offset + length);
  return encodeOnnx(lowerForCpu(readOnnx(model, { external })));
}
