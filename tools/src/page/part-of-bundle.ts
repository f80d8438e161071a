import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '@whet/runtime';

/**
 * Copies a bundle with some of its patterns into a new temporary folder and returns the folder. Where its default is not among them,
 * the first of them is.
 */
export async function partOfBundle(directory: string, names: readonly string[]): Promise<string> {
  const manifest = JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8')) as Manifest;
  const kept = ([path]: [string, unknown]) =>
    path === manifest.weights || names.some((name) => path.startsWith(`${name}.`));
  const folder = await mkdtemp(join(tmpdir(), 'whet-part-'));
  const files = Object.fromEntries(Object.entries(manifest.files).filter(kept));
  for (const path of Object.keys(files)) await cp(join(directory, path), join(folder, path));
  const part = {
    ...manifest,
    patterns: Object.fromEntries(Object.entries(manifest.patterns).filter(([name]) => names.includes(name))),
    defaultPattern: names.includes(manifest.defaultPattern) ? manifest.defaultPattern : names[0],
    files,
    measurements: [],
  };
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(part));
  return folder;
}
