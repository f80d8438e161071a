import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore, StoreUnavailableError } from '@whet/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspectFolder } from '../../../server/src/stores/lmdb-folder.js';
import { lacking } from '../needs.js';
import { draftOf } from './store-drafts.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-folders-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.skipIf(process.platform === 'win32')('a folder that is there', () => {
  const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
  const made = async (name: string, mode: number, file?: string) => {
    const path = join(folder, name);
    await mkdir(path);
    if (file) await writeFile(join(path, file), '');
    await chmod(path, mode);
    return path;
  };

  test.each([0o755, 0o777, 0o750])('with mode %o and nothing else in it is closed to others', async (mode) => {
    const path = await made(`open-${mode}`, mode);
    await (await openStore(path)).close();
    expect(await modeOf(path)).toBe('700');
    await chmod(path, mode);
    await (await openStore(path)).close();
    expect(await modeOf(path)).toBe('700');
  });

  test('with other files and open to others is refused, and left as it is', async () => {
    const path = await made('shared', 0o755, 'letter.txt');
    await expect(openStore(path)).rejects.toThrow(
      `${path}: expected a folder that only its owner opens or with nothing else in it (there is letter.txt), got mode 755; take a folder inside it, or: chmod 700 ${path}`,
    );
    await expect(openStore(path)).rejects.toBeInstanceOf(StoreUnavailableError);
    expect([await modeOf(path), existsSync(join(path, 'data.mdb'))]).toEqual(['755', false]);
    await chmod(path, 0o700);
    await (await openStore(path)).close();
  });

  const isRoot = process.geteuid?.() === 0;
  /** What somebody may do who is not the owner. */
  const asNobody = async (work: () => Promise<void>) => {
    process.seteuid?.(65534);
    try {
      await work();
    } finally {
      process.seteuid?.(0);
    }
  };
  test.skipIf(!isRoot)(`of somebody else is refused${lacking({ 'the rights of root': isRoot })}`, async () => {
    await chmod(folder, 0o755);
    const path = await made('of root', 0o755);
    await asNobody(() =>
      expect(openStore(path)).rejects.toThrow(
        `${path}: expected a folder that only its owner opens, got mode 755; take a folder inside it, or: chmod 700 ${path} (EPERM`,
      ),
    );
    const whole = join(folder, 'read only');
    const store = await openStore(whole);
    await store.put('me', 'x', draftOf('x'), undefined);
    await store.close();
    await chmod(whole, 0o555);
    await chmod(join(whole, 'data.mdb'), 0o444);
    await asNobody(() =>
      expect(inspectFolder(whole)).rejects.toThrow('data.mdb: expected a file that can be read and written, got '),
    );
  });

  test('whose place a file has is refused', async () => {
    const file = join(folder, 'a file');
    await writeFile(file, '');
    await expect(openStore(join(file, 'store'))).rejects.toThrow(
      `${file}/store: expected a folder for profiles: ENOTDIR`,
    );
  });

  test('that was closed takes no profile and is not ready', async () => {
    const store = await openStore(join(folder, 'closed'));
    await store.close();
    await expect(store.put('me', 'x', draftOf('x'), undefined)).rejects.toThrow('the disk does not take a profile: ');
    await expect(store.check()).rejects.toThrow('the folder cannot be read: ');
  });

  test('is not made wider', async () => {
    const path = await made('own', 0o500 | 0o200);
    await (await openStore(path)).close();
    expect(await modeOf(path)).toBe('700');
  });
});
