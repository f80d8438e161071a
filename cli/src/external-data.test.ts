import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { externalDataReader } from './external-data.js';

let root: string;
let folder: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'whet-external-'));
  folder = join(root, 'model');
  mkdirSync(join(folder, 'weights'), { recursive: true });
  writeFileSync(join(root, 'secret'), 'secret');
  writeFileSync(join(folder, 'weights', 'w.bin'), Uint8Array.of(1, 2, 3, 4, 5));
  symlinkSync(join(root, 'secret'), join(folder, 'link'));
  symlinkSync(root, join(folder, 'up'));
  symlinkSync(join('weights', 'w.bin'), join(folder, 'inside'));
});

afterAll(() => rmSync(root, { recursive: true }));

describe('external data', () => {
  it('is read from the model folder, also through a link that stays there', () => {
    const read = externalDataReader(folder);
    expect(Array.from(read('weights/w.bin', 1, 3))).toEqual([2, 3, 4]);
    expect(Array.from(read('inside', 4, 1))).toEqual([5]);
    expect(read('inside', 5, 0).length).toBe(0);
  });

  it('is read where the folder itself is reached by a link', () => {
    const alias = join(root, 'alias');
    symlinkSync(folder, alias);
    expect(Array.from(externalDataReader(alias)('weights/w.bin', 0, 1))).toEqual([1]);
  });

  it.each([
    ['../secret', `"../secret" is outside the model's folder`],
    ['weights/../../secret', "outside the model's folder"],
    ['..', "outside the model's folder"],
    ['.', "outside the model's folder"],
    ['', "outside the model's folder"],
    ['link', "leads outside the model's folder"],
    ['up/secret', "leads outside the model's folder"],
    ['weights', '"weights" is not a file'],
    ['missing', 'ENOENT'],
  ])('is refused for %j', (location, message) => {
    expect(() => externalDataReader(folder)(location, 0, 1)).toThrow(message);
  });

  it('is refused for an absolute path, also one into the folder', () => {
    const read = externalDataReader(folder);
    expect(() => read(join(folder, 'weights', 'w.bin'), 0, 1)).toThrow('outside');
    expect(() => read(join(root, 'secret'), 0, 1)).toThrow('outside');
  });

  // What the system makes up as it is read has the size of a page.
  const madeUp = '/sys/kernel/mm/transparent_hugepage';
  it.skipIf(!existsSync(join(madeUp, 'enabled')))('is refused where it ends before what is said of it', () => {
    const { size } = statSync(join(madeUp, 'enabled'));
    expect(() => externalDataReader(madeUp)('enabled', 0, size)).toThrow('"enabled" ended while it was read');
  });

  it('is refused past its end, without allocating what is declared', () => {
    const read = externalDataReader(folder);
    expect(() => read('inside', 3, 3)).toThrow('bytes 3 to 6 of "inside", which has 5');
    expect(() => read('inside', 0, 2 ** 50)).toThrow('which has 5');
  });
});
