import { zipSync } from 'fflate';

/** A bundle as one file: a zip whose entries are stored as they are, the manifest first, with no time in it. */
export function packArchive(contents: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const first = [...contents].sort(([a], [b]) => Number(b === 'manifest.json') - Number(a === 'manifest.json'));
  return zipSync(Object.fromEntries(first), { level: 0, mtime: '1980-01-01T00:00:00' });
}
