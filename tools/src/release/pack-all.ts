import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { published } from './published.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

export interface Packed {
  readonly name: string;
  readonly filename: string;
  /** Bytes of the file, and of what is in it. */
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

/** Packs what is published, as it is built: into a folder, or only says what would be in it. By the names of the packages. */
export async function packAll(folder?: string): Promise<ReadonlyMap<string, Packed>> {
  const workspaces = published.flatMap((place) => ['-w', place]);
  const where = folder === undefined ? ['--dry-run'] : ['--pack-destination', folder];
  const options = { cwd: root, maxBuffer: 16 << 20 };
  const call = ['pack', '--json', '--ignore-scripts', ...where, ...workspaces];
  const { stdout } = await promisify(execFile)('npm', call, options);
  // A list; of newer npm an object by names.
  const packed = Object.values(JSON.parse(stdout) as Record<string, Packed>);
  return new Map(packed.map((one) => [one.name, one]));
}
