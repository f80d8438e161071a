import { Profile, readProfile } from '@whet/runtime';
import { describe, expect, it } from 'vitest';
import { coarser } from './coarser.js';

const FEATURES = 256;
const wave = (count: number, speed: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(speed * i) / 3);
const row = (speed: number) => ({ shape: [2, FEATURES], data: wave(2 * FEATURES, speed) });

/** A profile of two classes, its head as bytes or as it is. */
function profileOf(isPacked: boolean): Profile {
  const values = new Map([
    ['head.weight', row(1.7)],
    ['head.bias', { shape: [2], data: Float32Array.of(0.123456, -0.3) }],
    ['familiar.means', row(2.3)],
    ['conv.weight', row(0.9)],
  ]);
  const bytes = Int8Array.from({ length: 2 * FEATURES }, (_, i) => Math.round(127 * Math.sin(i)));
  const scales = wave(8, 5).map(Math.abs);
  const packed = new Map([['head.weight', { shape: [2, FEATURES], bytes, scales }]]);
  return new Profile('0'.repeat(64), 'head', ['a', 'b'], [1, 1], 0, values, isPacked ? { packed } : {});
}

describe.each([false, true])('a profile with fewer digits, as bytes: %s', (isPacked) => {
  const whole = profileOf(isPacked).toBytes();
  const [before, after] = [whole, coarser(whole)].map((bytes) => readProfile(bytes)) as [Profile, Profile];

  it('is one of the same classes, whose rows point where they did', () => {
    expect([after.classes, after.examples, after.bundle]).toEqual([before.classes, before.examples, before.bundle]);
    for (const name of isPacked ? ['familiar.means'] : ['familiar.means', 'head.weight']) {
      const [was, is] = [before, after].map(({ values }) => values.get(name)?.data ?? []) as [
        Float32Array,
        Float32Array,
      ];
      for (const [i, value] of was.entries())
        expect(Math.abs(value - (is[i] as number))).toBeLessThanOrEqual(Math.abs(value) / 256);
    }
    const [was, is] = [before, after].map(({ storage }) => storage.packed?.get('head.weight')?.bytes ?? []);
    for (const [i, value] of [...(was ?? [])].entries())
      expect(Math.abs(value - (is?.[i] as number))).toBeLessThanOrEqual(10);
  });

  it('has all else as it was, and a second time nothing changes', () => {
    for (const name of ['head.bias', 'conv.weight']) expect(after.values.get(name)).toEqual(before.values.get(name));
    expect(coarser(coarser(whole))).toEqual(coarser(whole));
    expect(readProfile(whole)).toEqual(before);
  });

  it('compresses to less', async () => {
    const packedSize = async (bytes: Uint8Array) => {
      const stream = new Blob([bytes as Uint8Array<ArrayBuffer>])
        .stream()
        .pipeThrough(new CompressionStream('deflate-raw'));
      return (await new Response(stream).arrayBuffer()).byteLength;
    };
    expect(await packedSize(coarser(whole))).toBeLessThan(0.9 * (await packedSize(whole)));
  });
});
