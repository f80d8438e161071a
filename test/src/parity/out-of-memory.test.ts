import { GraphBuilder, makeTensor } from '@whet/compiler';
import { DeviceError } from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { findBackends } from './gpu.js';

const found = (await findBackends()).filter(({ name }) => name.endsWith('webgpu'));

/** The sum of an outer product of 8 GiB, more than WebGPU lets one buffer have. */
function outerProduct() {
  const g = new GraphBuilder();
  const column = g.input('column', [2 ** 16, 1]);
  const row = g.input('row', [1, 2 ** 15]);
  const sum = g.apply('ReduceSum', [g.apply('Mul', [column, row], {})], { keepdims: 0 });
  return { name: 'outer product', inputs: [column, row], outputs: new Map([['sum', sum]]) };
}

describe('a device without the memory a graph needs', { timeout: 180_000 }, () => {
  for (const each of found) {
    if ('missing' in each) {
      it.skip(`${each.name} (${each.missing})`, () => {});
      continue;
    }
    it(`${each.name} says so instead of returning zeros`, async () => {
      const executable = await each.backend.compile(outerProduct());
      const feeds = new Map([
        ['column', makeTensor([2 ** 16, 1], new Float32Array(2 ** 16).fill(1))],
        ['row', makeTensor([1, 2 ** 15], new Float32Array(2 ** 15).fill(1))],
      ]);
      const error = await executable.run(feeds).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(DeviceError);
      expect(error).toMatchObject({ backend: each.name, failure: 'memory' });
      await executable.release();
    });
  }
});
