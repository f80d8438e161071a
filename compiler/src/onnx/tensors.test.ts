import { describe, expect, it } from 'vitest';
import type { OnnxTensor } from './proto.js';
import { decodeTensor, fromFloat16 } from './tensors.js';

const empty = { floatData: [], int32Data: [], int64Data: [], doubleData: [], uint64Data: [] };
const make = (fields: Partial<OnnxTensor>): OnnxTensor => ({ ...empty, name: 't', dataType: 1, dims: [2], ...fields });
const bytes = (array: ArrayBufferView) => new Uint8Array(array.buffer);

describe('values of tensors', () => {
  it.each<[string, Partial<OnnxTensor>, string, number[]]>([
    ['float', { dataType: 1, rawData: bytes(Float32Array.of(1.5, -2)) }, 'float32', [1.5, -2]],
    ['float, typed', { dataType: 1, floatData: [1.5, -2] }, 'float32', [1.5, -2]],
    ['uint8', { dataType: 2, rawData: Uint8Array.of(7, 255) }, 'int64', [7, 255]],
    ['int8', { dataType: 3, rawData: Uint8Array.of(7, 255) }, 'int64', [7, -1]],
    ['int8, typed', { dataType: 3, int32Data: [7, -1] }, 'int64', [7, -1]],
    ['uint16', { dataType: 4, rawData: bytes(Uint16Array.of(7, 65535)) }, 'int64', [7, 65535]],
    ['int16', { dataType: 5, rawData: bytes(Int16Array.of(7, -8)) }, 'int64', [7, -8]],
    ['int32', { dataType: 6, rawData: bytes(Int32Array.of(7, -8)) }, 'int64', [7, -8]],
    ['int64', { dataType: 7, rawData: bytes(BigInt64Array.of(7n, -8n)) }, 'int64', [7, -8]],
    ['int64, typed', { dataType: 7, int64Data: [7, -8] }, 'int64', [7, -8]],
    ['bool', { dataType: 9, rawData: Uint8Array.of(0, 5) }, 'bool', [0, 1]],
    ['bool, typed', { dataType: 9, int32Data: [0, 1] }, 'bool', [0, 1]],
    ['float16', { dataType: 10, rawData: bytes(Uint16Array.of(0x3c00, 0xc100)) }, 'float32', [1, -2.5]],
    ['float16, typed', { dataType: 10, int32Data: [0x3c00, 0xc100] }, 'float32', [1, -2.5]],
    ['double', { dataType: 11, rawData: bytes(Float64Array.of(0.1, 2)) }, 'float32', [Math.fround(0.1), 2]],
    ['double, typed', { dataType: 11, doubleData: [0.1, 2] }, 'float32', [Math.fround(0.1), 2]],
    ['uint32', { dataType: 12, rawData: bytes(Uint32Array.of(7, 2 ** 32 - 1)) }, 'int64', [7, 2 ** 32 - 1]],
    ['uint64, typed', { dataType: 13, uint64Data: [7, 8] }, 'int64', [7, 8]],
    ['bfloat16', { dataType: 16, rawData: bytes(Uint16Array.of(0x3f80, 0xc020)) }, 'float32', [1, -2.5]],
  ])('%s', (_, fields, dtype, values) => {
    const read = decodeTensor(make(fields));
    expect(read).toMatchObject({ dtype, shape: [2] });
    expect(Array.from(read.data)).toEqual(values);
  });

  it('reads every half precision number: sign, exponent and fraction stand where a double has them', () => {
    const view = new DataView(new ArrayBuffer(8));
    const wrong: number[] = [];
    for (let bits = 0; bits < 65536; bits++) {
      const exponent = (bits >> 10) & 31;
      view.setFloat64(0, fromFloat16(bits));
      const top = view.getUint32(0);
      const parts = [top >>> 31, ((top >> 20) & 2047) - 1023 + 15, (top >> 10) & 1023];
      const normal = parts.join() === [bits >> 15, exponent, bits & 1023].join();
      if (exponent === 31 ? Number.isFinite(fromFloat16(bits)) : exponent > 0 && !normal) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
    expect([fromFloat16(1), fromFloat16(0x83ff)]).toEqual([2 ** -24, -(2 ** -14) * (1023 / 1024)]);
  });

  it('takes INT64_MAX for as far as possible, and refuses other integers that are not exact', () => {
    const far = decodeTensor(make({ dataType: 7, rawData: bytes(BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n))) }));
    expect(Array.from(far.data)).toEqual([Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER]);
    const inexact = make({ dataType: 7, rawData: bytes(BigInt64Array.of(2n ** 53n + 1n, 0n)) });
    expect(() => decodeTensor(inexact)).toThrow('tensor "t": the integer 9007199254740993 is not exact');
  });

  it('does not keep the file alive or depend on its alignment', () => {
    const file = new Uint8Array(64);
    file.set(bytes(Float32Array.of(1.5, -2)), 3);
    const read = decodeTensor(make({ rawData: file.subarray(3, 11) }));
    expect(Array.from(read.data)).toEqual([1.5, -2]);
    expect(read.data.buffer.byteLength).toBe(8);
  });
});

describe('tensors that do not fit', () => {
  it.each<[string, Partial<OnnxTensor>, string]>([
    ['raw data too short', { rawData: new Uint8Array(7) }, 'float[2] takes 8 bytes, raw data has 7'],
    ['raw data too long', { rawData: new Uint8Array(12) }, 'float[2] takes 8 bytes, raw data has 12'],
    ['too few values', { floatData: [1] }, 'float[2] takes 2 values, got 1'],
    ['no data', { dims: [] }, 'float[] takes 1 values, got 0'],
    ['2 GB', { dims: [512, 1024, 1024], rawData: new Uint8Array(8) }, 'takes 2147483648 bytes, raw data has 8'],
    ['more than there is', { dims: [2 ** 40, 2 ** 40] }, 'dims [1099511627776, 1099511627776] are too large'],
    ['a negative size', { dims: [-1, -2], floatData: [1, 2] }, 'dims [-1, -2] are not sizes'],
    ['texts', { dataType: 8 }, 'element type string is not supported'],
    ['an unknown type', { dataType: 99 }, 'element type number 99 is not supported'],
    ['external data', { external: { location: 'w.bin', offset: 0 } }, 'are in "w.bin", which was not given'],
    ['external, short', { external: { location: 'w.bin', offset: 0, length: 4 } }, 'takes 8 bytes, "w.bin" has 4'],
  ])('%s', (_, fields, message) => {
    expect(() => decodeTensor(make(fields))).toThrow(`tensor "t": `);
    expect(() => decodeTensor(make(fields))).toThrow(message);
  });

  it.each(['/etc/passwd', '../w.bin', 'a/../../w.bin', 'C:\\w.bin', '\\\\host\\w', 'file:///w', 'a\\..\\..\\w', 'w\0'])(
    'external data in %j, which is never asked for',
    (location) => {
      const ask = () => {
        throw new Error('asked');
      };
      const tensor = make({ external: { location, offset: 0 } });
      expect(() => decodeTensor(tensor, ask)).toThrow("is outside the model's folder");
    },
  );

  it('external data of which the reader gives too little', () => {
    const tensor = make({ external: { location: 'w.bin', offset: 4 } });
    expect(() => decodeTensor(tensor, () => new Uint8Array(3))).toThrow('expected 8 bytes of "w.bin", got 3');
    const read = decodeTensor(tensor, (location, offset, length) => {
      expect([location, offset, length]).toEqual(['w.bin', 4, 8]);
      return bytes(Float32Array.of(3, 4));
    });
    expect(Array.from(read.data)).toEqual([3, 4]);
  });
});
