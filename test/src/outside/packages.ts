import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { published } from '@whet/tools/release/published';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);

/** The parts of a `package.json` that are looked at. */
export interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  readonly license?: string;
  readonly keywords?: readonly string[];
  readonly repository?: { readonly url: string; readonly directory: string };
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export const packageJson = (folder: string): PackageJson =>
  JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as PackageJson;

export interface Packed {
  readonly name: string;
  readonly filename: string;
  /** Of the file, and of what is in it. */
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

/** Packs what is published, by the names of the packages: into a folder, or only says what would be in it. */
export async function packAll(folder?: string): Promise<ReadonlyMap<string, Packed>> {
  const workspaces = published.flatMap((place) => ['-w', place]);
  const where = folder === undefined ? ['--dry-run'] : ['--pack-destination', folder];
  const options = { cwd: root, maxBuffer: 16 << 20 };
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', ...where, ...workspaces], options);
  // A list; of newer npm an object by names.
  const packed = Object.values(JSON.parse(stdout) as Record<string, Packed>);
  return new Map(packed.map((one) => [one.name, one]));
}

/** What a package's declarations import from elsewhere, by their entries: another package, or a part of Node.js. */
export function typesImported(folder: string): ReadonlySet<string> {
  const seen = new Set<string>();
  const outside = new Set<string>();
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(file, 'utf8');
    for (const [, specifier = ''] of text.matchAll(/(?:from\s+|import\(\s*)'([^']+)'/g)) {
      if (specifier.startsWith('.')) visit(join(file, '..', specifier.replace(/\.js$/, '.d.ts')));
      else outside.add(/^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] as string);
    }
  };
  for (const target of Object.values(packageJson(folder).exports)) {
    if (typeof target !== 'string' && target['types'] !== undefined) visit(join(root, folder, target['types']));
  }
  return outside;
}
