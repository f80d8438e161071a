import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { BundleList } from '../shared/bundle-list.js';
import { headersOf } from '../shared/headers.js';

export { headersOf, isImmutable } from '../shared/headers.js';

/** Folder of the built page: static files with relative addresses, and a `.gz` beside each large one; WebAssembly is there as `.gz` alone. */
export const pageDirectory: string = fileURLToPath(new URL('../../dist/page', import.meta.url));

/**
 * Writes the page with bundles into a folder, to be served by any host of static files: of each bundle, by name, its files by their paths.
 * `_headers` states the headers in the form that Netlify and Cloudflare Pages read.
 */
export async function writePage(
  directory: string,
  bundles: ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  const files = await readdir(pageDirectory, { recursive: true, withFileTypes: true });
  await cp(pageDirectory, directory, { recursive: true, filter: (source) => !source.endsWith('.gz') });
  for (const { name, parentPath } of files.filter(({ name }) => name.endsWith('.wasm.gz'))) {
    const packed = join(parentPath, name);
    const file = join(directory, relative(pageDirectory, packed).slice(0, -'.gz'.length));
    await writeFile(file, await promisify(gunzip)(await readFile(packed)));
  }
  for (const [name, contents] of bundles) {
    for (const [path, bytes] of contents) {
      const file = join(directory, 'bundles', name, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, bytes);
    }
  }
  const list: BundleList = { bundles: [...bundles.keys()] };
  await writeFile(join(directory, 'bundles', 'index.json'), JSON.stringify(list));
  const connecting = files.map(({ name }) => name).filter((name) => /^loader-.*\.js$/.test(name));
  const rules = ['/*', '/sw.js', ...connecting.map((name) => `/assets/${name}`)].map((path) => {
    const lines = Object.entries(headersOf(path)).map(([name, value]) => `  ${name}: ${value}`);
    // Headers of several rules add up; a more special rule takes the general one's policy away first.
    const detached = path === '/*' ? [] : ['  ! Content-Security-Policy'];
    return [path, ...detached, ...lines].join('\n');
  });
  await writeFile(join(directory, '_headers'), `${rules.join('\n')}\n`);
}
