import { closeSync, fstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import type { ExternalReader } from '@whet/compiler';

/** Whether `path` is below `folder`; both are real paths. */
function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/**
 * Reads the values that an ONNX model keeps in files beside it, for `readOnnx`. Names are relative to the model's
 * `folder`; one that is absolute, climbs out by `..` or leaves by a symbolic link is refused before it is opened.
 */
export function externalDataReader(folder: string): ExternalReader {
  return (location, offset, length) => {
    if (isAbsolute(location) || !isBelow(resolve(folder, location), resolve(folder))) {
      throw new Error(`"${location}" is outside the model's folder`);
    }
    const root = realpathSync(folder);
    const path = realpathSync(join(root, location));
    if (!isBelow(path, root)) throw new Error(`"${location}" leads outside the model's folder`);
    // Before it is opened: a pipe would wait for a writer.
    if (!statSync(path).isFile()) throw new Error(`"${location}" is not a file`);
    const file = openSync(path, 'r');
    try {
      // Before anything is allocated: the model may declare any size.
      const { size } = fstatSync(file);
      if (offset + length > size) {
        throw new Error(`bytes ${offset} to ${offset + length} of "${location}", which has ${size}`);
      }
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const count = readSync(file, bytes, done, length - done, offset + done);
        if (count === 0) throw new Error(`"${location}" ended while it was read`);
        done += count;
      }
      return bytes;
    } finally {
      closeSync(file);
    }
  };
}
