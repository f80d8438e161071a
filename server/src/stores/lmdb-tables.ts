import { crc32 } from 'node:zlib';
import type { Database, RootDatabase } from 'lmdb';
import type { KeyRecord, ProfileInfo, Usage } from './contract.js';

export type Stored = ProfileInfo & {
  /** Milliseconds since 1970. */
  readonly used: number;
  /** {@link sumOf} it; absent where Whet 0.6 or older wrote it. */
  readonly sum?: number;
};

export interface Tables {
  readonly infos: Database<Stored, string[]>;
  readonly values: Database<Uint8Array, string[]>;
  /** Ids by owner and time of use. */
  readonly uses: Database<true, (string | number)[]>;
  /** Owners and ids by time of change, with the profile's size; `true` where Whet 0.6 or older wrote it. */
  readonly changes: Database<number | true, (string | number)[]>;
  /** By owner. */
  readonly totals: Database<Usage, string>;
  readonly keys: Database<KeyRecord, string>;
}

export const tableNames = ['profiles', 'values', 'uses', 'changes', 'totals', 'keys'] as const;
/** A table that says nothing of profiles; stores of Whet 0.6 and older have none. */
export const PROBES = 'probes';

/** Opens the tables, and makes those that are not there. */
export function openTables(root: RootDatabase): Tables {
  const [infos, values, uses, changes, totals, keys] = tableNames;
  return {
    infos: root.openDB({ name: infos }),
    values: root.openDB({ name: values, encoding: 'binary' }),
    uses: root.openDB({ name: uses }),
    changes: root.openDB({ name: changes }),
    totals: root.openDB({ name: totals }),
    keys: root.openDB({ name: keys }),
  };
}

/** The part of LMDB's figures that is of use here, of one table and of the whole file. */
export interface Figures extends Pages {
  readonly pageSize: number;
  readonly lastPageNumber: number;
  readonly lastTxnId: number;
  /** Of the table of tables. */
  readonly root: Pages;
  /** Of the list of free pages. */
  readonly free: Pages;
}

export interface Pages {
  readonly treeDepth: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
  readonly entryCount: number;
}

export const figuresOf = (table: { getStats(): object }) => table.getStats() as Figures;

/** CRC-32 of all of a profile that its use does not change. */
export function sumOf(info: ProfileInfo, bytes: Uint8Array): number {
  const { model, pattern, classes, examples, version, created, updated } = info;
  return crc32(bytes, crc32(JSON.stringify([model, pattern, classes, examples, version, created, updated])));
}
