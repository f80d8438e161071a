import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { BundleError } from '@whet/runtime';
import { isArchive, readArchive } from '@whet/runtime/format';
import writeFileAtomic from 'write-file-atomic';
import { packArchive } from './archive.js';

/** A folder that an export would overwrite and that is not a bundle. */
export class ExportError extends Error {
  override readonly name = 'ExportError';
}

const missing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/** True where the folder, or the `.whet` file, is there; throws {@link ExportError} where it is something else than a bundle. */
export async function findBundle(directory: string): Promise<boolean> {
  if (isArchive(directory)) return findArchive(directory);
  const entries = await readdir(directory).catch((error: unknown) => {
    if (missing(error)) return undefined;
    throw new ExportError(`${directory}: cannot be replaced: ${(error as Error).message}`, { cause: error });
  });
  if (!entries || entries.length === 0) return entries !== undefined;
  const manifest = await readFile(join(directory, 'manifest.json'), 'utf8').catch(() => '');
  if (!manifest.includes('"whet-bundle/')) {
    throw new ExportError(
      `${directory}: expected a new or empty folder, or a bundle to replace, got ${entries[0]}, ...`,
    );
  }
  return true;
}

/** Writes a bundle: one file where the place ends in `.whet`, else a folder. Whole or not at all. */
export async function writeBundle(place: string, contents: ReadonlyMap<string, Uint8Array>): Promise<void> {
  if (!isArchive(place)) return writeFolder(place, contents);
  await findBundle(place);
  await mkdir(dirname(resolve(place)), { recursive: true });
  await writeFileAtomic(place, Buffer.from(packArchive(contents)));
}

/** Writes a folder beside its place and moves it there, so that no half-written bundle is ever found. */
async function writeFolder(directory: string, contents: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const replaces = await findBundle(directory);
  await mkdir(dirname(resolve(directory)), { recursive: true });
  const staging = await mkdtemp(join(dirname(resolve(directory)), '.bundle-'));
  const old = `${staging}-old`;
  try {
    for (const [path, bytes] of contents) {
      await mkdir(dirname(join(staging, path)), { recursive: true });
      await writeFile(join(staging, path), bytes);
    }
    // A README beside the files belongs to people and stays.
    await copyFile(join(directory, 'README.md'), join(staging, 'README.md')).catch((error: unknown) => {
      if (!missing(error)) throw error;
    });
    // A temporary folder is its owner's alone; a bundle is for everyone who may read its parent.
    await chmod(staging, 0o755);
    if (replaces) await rename(directory, old);
    await rename(staging, directory).catch(async (cause: unknown) => {
      if (replaces) await rename(old, directory);
      throw cause;
    });
    await rm(old, { recursive: true, force: true });
  } catch (cause) {
    await rm(staging, { recursive: true, force: true });
    throw cause;
  }
}

async function findArchive(path: string): Promise<boolean> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if (missing(error)) return undefined;
    throw new ExportError(`${path}: cannot be replaced: ${(error as Error).message}`, { cause: error });
  });
  if (!bytes) return false;
  try {
    const manifest = new TextDecoder().decode(readArchive(bytes, path).get('manifest.json'));
    if (manifest.includes('"whet-bundle/')) return true;
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
  }
  throw new ExportError(`${path}: expected a new file, or a bundle to replace, got something else`);
}
