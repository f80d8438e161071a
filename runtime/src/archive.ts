import { unzipSync } from 'fflate';
import { BundleError } from './errors.js';

/**
 * The files of a bundle that is one file: a zip whose entries are stored, not compressed. Throws {@link BundleError} naming the
 * entry where one is compressed, stands twice, or is called as no file of a bundle is, and where the archive is damaged.
 */
export function readArchive(bytes: Uint8Array, location: string): Map<string, Uint8Array> {
  const seen = new Set<string>();
  const refuse = (reason: string): never => {
    throw new BundleError(`${location}: ${reason}`);
  };
  let files: Record<string, Uint8Array>;
  try {
    files = unzipSync(bytes, {
      filter: ({ name, compression, size, originalSize }) => {
        if (!/^[\w.-]+(\/[\w.-]+)*$/.test(name) || name.split('/').some((part) => /^\.+$/.test(part))) {
          return refuse(`entry ${JSON.stringify(name.slice(0, 100))}: expected the name of a file inside the bundle`);
        }
        if (seen.has(name)) return refuse(`entry "${name}": expected it once, got it again`);
        if (compression !== 0 || size !== originalSize) {
          return refuse(`entry "${name}": expected it stored, got it compressed`);
        }
        seen.add(name);
        return true;
      },
    });
  } catch (cause) {
    if (cause instanceof BundleError) throw cause;
    throw new BundleError(`${location}: not a bundle in one file: ${(cause as Error).message}`, { cause });
  }
  for (const name of seen) {
    if (!Object.hasOwn(files, name)) refuse(`entry "${name}": expected its bytes in the archive, got none`);
  }
  return new Map(Object.entries(files));
}

/** Whether a bundle at this place or address is one file. */
export const isArchive = (place: string): boolean => /\.whet([?#].*)?$/.test(place);
