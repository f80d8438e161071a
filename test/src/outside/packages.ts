import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

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
