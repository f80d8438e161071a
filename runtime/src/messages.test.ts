import { describe, expect, it } from 'vitest';
import { checkOutline } from './outline.js';
import { readProfile } from './profile.js';
import { float32, readSafetensors, type StoredTensor, writeSafetensors } from './safetensors.js';

/** A safetensors file with this header and so many bytes behind it. */
function fileOf(header: unknown, bytes = 0): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + bytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  return file;
}

const tensor = (dtype: string, shape: unknown, data_offsets: unknown) => ({ a: { dtype, shape, data_offsets } });

describe('a safetensors file says what is damaged', () => {
  it.each<[string, Uint8Array]>([
    ['expected at least 8 bytes, got 3', new Uint8Array(3)],
    ['header of 100 bytes in a file of 9', Uint8Array.of(100, 0, 0, 0, 0, 0, 0, 0, 1)],
    ['header is not a JSON object: not an object', fileOf([])],
    ['metadata "format": expected text, got number', fileOf({ __metadata__: { format: 1 } })],
    ['"a": dtype X1 is not supported', fileOf(tensor('X1', [1], [0, 4]), 4)],
    ['"a": expected a shape and two offsets', fileOf(tensor('F32', 'no', [0, 4]), 4)],
    ['"a": expected 8 bytes within 4, got 0 to 4', fileOf(tensor('F32', [2], [0, 4]), 4)],
    ['"a": expected to begin at byte', fileOf(tensor('F32', [1], [4, 8]), 8)],
    ['expected 66 bytes, got 67', fileOf(tensor('F32', [1], [0, 4]), 5)],
  ])('%s', (message, file) => {
    expect(() => readSafetensors(file)).toThrow(message);
  });
});

describe('a profile says what is damaged', () => {
  const good = {
    format: 'whet-profile-1',
    bundle: 'b',
    pattern: 'p',
    classes: '["a","b"]',
    examples: '[1,1]',
    steps: '1',
  };
  const profile = (metadata: Record<string, string>, weight: StoredTensor = float32([1], Float32Array.of(1))) =>
    writeSafetensors({ tensors: new Map([['w', weight]]), metadata: { ...good, format: format(), ...metadata } });
  /** The format that this version writes, out of the message that another gets. */
  const format = () => {
    const file = writeSafetensors({ tensors: new Map(), metadata: { format: 'other' } });
    try {
      readProfile(file);
    } catch (error) {
      return /expected format "(.*)", got "other"/.exec((error as Error).message)?.[1] ?? '';
    }
    return '';
  };

  it('is read where nothing is', () => {
    expect(readProfile(profile({})).classes).toEqual(['a', 'b']);
  });

  it.each<[string, Uint8Array]>([
    ['profile: expected format "', profile({ format: 'other' })],
    ['profile: classes: expected a list of names, got {}', profile({ classes: '{}' })],
    ['profile: classes: expected two or more different names, got ["a","a"]', profile({ classes: '["a","a"]' })],
    ['profile: examples: expected 2 counts, one for each class, got [1]', profile({ examples: '[1]' })],
    ['profile: steps: expected a whole number of 0 or more, got "-1"', profile({ steps: '-1' })],
    ['"w": expected float32 values', profile({}, { dtype: 'I32', shape: [1], data: Int32Array.of(1) })],
    ['"w": expected finite values', profile({}, float32([1], Float32Array.of(Number.NaN)))],
  ])('%s', (message, file) => {
    expect(() => readProfile(file)).toThrow(message);
  });
});

describe('a graph says why it is no ONNX model', () => {
  const nested = (depth: number): Uint8Array => {
    // Graphs in attributes of nodes of graphs: field 7 of the model, then 1, 5 and 6 again and again.
    let bytes: number[] = [];
    for (let i = 0; i < depth; i++) {
      const field = i === depth - 1 ? 7 : ([1, 5, 6][(depth - i + 1) % 3] as number);
      const { length } = bytes;
      bytes = [field * 8 + 2, (length & 127) | 128, length >> 7, ...bytes];
    }
    return Uint8Array.from(bytes);
  };

  it.each<[string, Uint8Array]>([
    ['not an ONNX model: it ends within a number', Uint8Array.of(0x80)],
    ['not an ONNX model: a field ends beyond its message', Uint8Array.of(0x3a, 9)],
    ['not an ONNX model: messages stand in each other more than 100 deep', nested(120)],
  ])('%s', (message, file) => {
    expect(() => checkOutline(file, new Map())).toThrow(message);
  });

  it('of a graph, and of no function beside it, tells the tensors that it takes and gives', () => {
    const field = (number: number, bytes: readonly number[]) => [
      ...(number < 16 ? [(number << 3) | 2] : [((number << 3) & 127) | 130, number >> 4]),
      bytes.length,
      ...bytes,
    ];
    const text = (number: number, value: string) => field(number, [...new TextEncoder().encode(value)]);
    const graph = [
      ...field(5, text(8, 'own')),
      ...field(11, text(1, 'own')),
      ...field(11, text(1, 'x')),
      ...field(12, text(1, 'y')),
    ];
    // A function's outputs are texts, not messages.
    const model = [...field(7, graph), ...field(25, [...text(5, 'result'), ...field(12, text(1, 'inner'))])];
    expect(checkOutline(Uint8Array.from(model), new Map())).toEqual({ inputs: ['x'], outputs: ['y'], external: [] });
  });
});
