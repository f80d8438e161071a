import { fileURLToPath } from 'node:url';

const source = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Options of Node.js with which it runs the packages' sources, as these tests do. */
const fromSource: readonly string[] = [
  '--import',
  new URL('../from-source.js', import.meta.url).href,
  '--conditions',
  '@whet/source',
];

/** What Node.js is given to run a source of this repository, by its path in it. */
export const program = (path: string): readonly string[] => [...fromSource, source(path)];

/** What Node.js is given to run `whet`. */
export const whetFromSource: readonly string[] = program('cli/src/main.ts');
