import { constants } from 'node:fs';
import { access, mkdir, statfs } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { DataError } from './dataset.js';

/**
 * The folder of cached files: `directory`, or `$XDG_CACHE_HOME/whet`, or `~/.cache/whet`.
 *
 * @throws {DataError} where it cannot be made or written, before anybody has spent time on what goes into it.
 */
export async function cacheFolder(directory?: string): Promise<string> {
  const folder = directory ?? defaultDirectory();
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (cause) {
    throw unwritable(folder, cause);
  }
  return folder;
}

export async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

// The XDG base directory specification: a relative path is to be ignored.
function defaultDirectory(): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), '.cache'), 'whet');
}

export function unwritable(folder: string, cause: unknown): DataError {
  return new DataError(
    `cache directory ${folder} cannot be written: ${String(cause)}. Name another one, or set XDG_CACHE_HOME.`,
    { cause },
  );
}
