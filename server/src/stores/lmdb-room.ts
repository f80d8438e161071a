import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import type { RootDatabase } from 'lmdb';
import { StoreUnavailableError } from './contract.js';
import { figuresOf, type Pages } from './lmdb-tables.js';

/** Pages that the file grows by at a time, on a disk that has them. */
const CHUNK = 64;
/** Bytes written at once, at most. */
const ZEROS = 1_048_576;
/** Deletions that must be possible on a full disk, before the pages of the first of them are free. */
const DELETIONS = 3;
/** The two pages at the start of the file that say where the tables begin. */
const HEADS = 2;

/** Keeps some of the disk's room for deletions. */
export interface Room {
  /**
   * In a transaction, before a profile of so many bytes is written: takes room for it, and throws
   * {@link StoreUnavailableError} where the disk has none that deletions can spare.
   */
  take(bytes: number): void;
  close(): void;
}

/**
 * LMDB copies each page that it changes, so that deleting takes room before it gives any. On a full disk nothing could be
 * deleted any more. So the file is kept longer than its pages need, by zeros after the last of them that only deletions
 * may use up.
 */
export function keepRoom(root: RootDatabase, tables: readonly { getStats(): object }[], path: string): Room {
  const file = openSync(path, 'r+');
  let transaction = -1;
  let [pages, used, perWrite] = [0, 0, 0];
  const count = (size: number) => {
    const { root: names, free } = figuresOf(root);
    const trees: Pages[] = [names, free, ...tables.map(figuresOf)];
    pages = Math.floor(fstatSync(file).size / size);
    used = HEADS;
    perWrite = HEADS;
    for (const { treeDepth, treeBranchPageCount, treeLeafPageCount, overflowPages } of trees) {
      used += treeBranchPageCount + treeLeafPageCount + overflowPages;
      perWrite += Math.max(treeDepth, 1);
    }
  };
  return {
    take(bytes) {
      const { pageSize, lastTxnId } = figuresOf(root);
      // Many writes may be one transaction, in which the pages that they have replaced are not free yet.
      if (lastTxnId !== transaction) count(pageSize);
      transaction = lastTxnId;
      used += perWrite + Math.ceil(bytes / pageSize);
      const missing = used + DELETIONS * perWrite - pages;
      if (missing <= 0) return;
      pages = extend(file, pages, Math.max(missing, CHUNK), pageSize);
      if (used + DELETIONS * perWrite <= pages) return;
      transaction = -1;
      throw new StoreUnavailableError('the disk is full, but for what deletions need');
    },
    close: () => closeSync(file),
  };
}

/** Makes the file longer, as far as the disk goes; its pages then. */
function extend(file: number, pages: number, more: number, pageSize: number): number {
  const zeros = new Uint8Array(Math.min(more * pageSize, ZEROS));
  const { size } = fstatSync(file);
  // Another process may have grown it since; nobody does while this one writes.
  const end = Math.max(size, (pages + more) * pageSize);
  let at = size;
  try {
    while (at < end) at += writeSync(file, zeros, 0, Math.min(zeros.byteLength, end - at), at);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'EFBIG') {
      throw new StoreUnavailableError(`the disk does not take a profile: ${(cause as Error).message}`, { cause });
    }
  }
  return Math.floor(at / pageSize);
}
