import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Throws where a file could not be written, before anything is computed for it. */
export async function checkFolders(files: readonly (string | undefined)[]): Promise<void> {
  for (const file of files) {
    if (file === undefined) continue;
    await access(dirname(file), constants.W_OK).catch((cause: Error) => {
      throw new Error(`${file}: expected a folder that can be written to, got ${cause.message}`, { cause });
    });
  }
}
