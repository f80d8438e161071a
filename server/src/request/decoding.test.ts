import type { Preprocessing } from '@whet/runtime';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { defaultLimits } from '../limits.js';
import { Decoding } from './decoding.js';
import { decodeInParts, type ImageSource } from './images.js';

const large: Preprocessing = {
  width: 224,
  height: 224,
  channels: 3,
  fit: 'fill',
  background: 255,
  kernel: 'nearest',
  invert: false,
  mean: [0, 0, 0],
  std: [1, 1, 1],
};
const VALUES = 224 * 224 * 3;
const never = new AbortController().signal;

const pixel = async (grey: number) =>
  sharp({ create: { width: 1, height: 1, channels: 3, background: { r: grey, g: grey, b: grey } } })
    .png()
    .toBuffer();

test('a small image counts as the tensor that it becomes, for a request and for a client', async () => {
  const limits = { ...defaultLimits, requestPixels: 2 * VALUES, keyPixels: 3 * VALUES };
  const decoding = new Decoding(limits);
  const file = { field: 'image', bytes: await pixel(0) };
  const open = (count: number) => decoding.open('a', new Array(count).fill(file), large, never);
  await expect(open(3)).rejects.toThrow(`expected images of at most ${2 * VALUES} pixels together, got ${3 * VALUES}`);
  const first = await open(2);
  await expect(open(2)).rejects.toThrow(`expected at most ${3 * VALUES} pixels at once, got ${4 * VALUES}`);
  first.close();
  (await open(2)).close();
});

test('a long list becomes tensors part by part, in its order', async () => {
  const bytes = await Promise.all([0, 64, 128, 192].map(pixel));
  const data = Buffer.from(new Float32Array(VALUES).fill(5).buffer);
  const payloads = new Map([['tensor.data', { kind: 'bytes', bytes: Uint8Array.from(data) } as const]]);
  const sources = Array.from({ length: 70 }, (_, i): ImageSource => {
    if (i % 7 === 3) return { kind: 'tensor', field: 'tensor', tensor: { data: '' }, payloads };
    return { kind: 'file', field: `${i}`, bytes: bytes[i % 4] as Buffer };
  });
  const lengths: number[] = [];
  const values: number[] = [];
  const decoding = new Decoding(defaultLimits);
  for await (const part of decodeInParts(decoding, 'a', sources, large, never)) {
    lengths.push(part.length);
    values.push(...part.map((tensor) => Math.round((tensor[0] as number) * 255)));
  }
  expect(lengths).toEqual([32, 32, 6]);
  expect(values).toEqual(sources.map((_, i) => (i % 7 === 3 ? 5 * 255 : (i % 4) * 64)));
});
