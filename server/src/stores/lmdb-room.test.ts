import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { expect, test } from 'vitest';
import { StoreUnavailableError } from './contract.js';
import { keepRoom } from './lmdb-room.js';

// The whole store on a full disk is tested by test/src/service/server-operations.test.ts.
test.skipIf(!existsSync('/dev/full'))('a disk that is full takes no profile, and says so', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'whet-room-'));
  const root = open({ path: folder, noSubdir: false });
  const room = keepRoom(root, [], '/dev/full');
  expect(() => room.take(1000)).toThrow(new StoreUnavailableError('the disk is full, but for what deletions need'));
  room.close();
  await root.close();
  rmSync(folder, { recursive: true });
});
