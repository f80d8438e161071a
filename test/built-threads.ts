import { pathToFileURL } from 'node:url';
import type { Plugin } from 'vitest/config';

const OWN_FILE = /new URL\('(\.\/[\w-]+\.js)', import\.meta\.url\)/g;

/**
 * Threads and processes that a source starts by a file beside it are those that were built, which the test run does before
 * it begins: no loader of TypeScript has to start in each of them. `condition` is what sources are imported by.
 */
export const builtThreads = (condition: string): Plugin => ({
  name: 'built-threads',
  enforce: 'pre',
  configResolved({ ssr }) {
    // Vitest hands these on to Node.js, and so to every thread; Vite has its own copy.
    const { resolve } = ssr;
    if (resolve?.conditions) resolve.conditions = resolve.conditions.filter((each) => each !== condition);
  },
  transform(code, id) {
    const folder = id.lastIndexOf('/src/');
    if (folder < 0 || id.includes('/node_modules/')) return undefined;
    const built = pathToFileURL(`${id.slice(0, folder)}/dist/${id.slice(folder + 5)}`);
    const changed = code.replace(OWN_FILE, (_, path: string) => `new URL('${new URL(path, built).href}')`);
    return changed === code ? undefined : { code: changed, map: null };
  },
});
