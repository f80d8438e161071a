import { BundleError } from '../errors.js';
import { isArchive, splitPath } from '../file-name.js';
import type { BundleSource } from '../source.js';
import { type FetchOptions, fetchFrom, type ReadFile } from './fetch-files.js';

type Source = Pick<BundleSource, 'location' | 'read'>;

/** Reads files at the address of a bundle: its folder's, or that of the one file that it is. */
function readAt(source: string | URL, options: FetchOptions): ReadFile {
  const address = String(source);
  if (!isArchive(address)) return fetchFrom(address, options);
  const [folder, name] = splitPath(address);
  const read = fetchFrom(folder || './', options);
  let files: Promise<Map<string, Uint8Array>> | undefined;
  return async (path, fresh) => {
    if (fresh) files = undefined;
    files ??= read(name, fresh).then(async (bytes) => {
      const { readArchive } = await import('../archive.js');
      return readArchive(bytes, address);
    });
    const bytes = (await files).get(path);
    if (!bytes) throw new BundleError(`${address}/${path}: cannot be read: it is not in the archive`);
    return bytes;
  };
}

/** Reads the files of a bundle at an address, or by a function; each once where it is opened twice. */
export function readerOf(source: string | URL | ReadFile, options: FetchOptions, once: boolean): Source {
  const [location, read] =
    typeof source === 'function' ? ['bundle', source] : [String(source), readAt(source, options)];
  const files = new Map<string, Promise<Uint8Array>>();
  return {
    location,
    read: async (path, fresh = false) => {
      try {
        const reading = (once && !fresh ? files.get(path) : undefined) ?? read(path, fresh);
        if (once) files.set(path, reading);
        return await reading;
      } catch (cause) {
        files.delete(path);
        options.signal?.throwIfAborted();
        if (cause instanceof BundleError) throw cause;
        throw new BundleError(`${location}/${path}: cannot be read: ${(cause as Error).message}`, { cause });
      }
    },
  };
}
