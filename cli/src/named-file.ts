import { readFile } from 'node:fs/promises';

const problems: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EISDIR: 'a folder',
  ENOTDIR: 'no such file',
};

/** A file that somebody named. Throws saying which, what it was to be, and what is there. */
export async function readNamedFile(path: string, what: string): Promise<Buffer> {
  return readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`${path}: expected ${what}, got ${problems[cause.code ?? ''] ?? cause.message}`, { cause });
  });
}

/** {@link readNamedFile} of JSON; nobody has looked at what it holds. */
export async function readNamedJson(path: string, what: string): Promise<unknown> {
  const text = (await readNamedFile(path, what)).toString();
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path}: expected ${what} as JSON: ${(cause as Error).message}`, { cause });
  }
}
