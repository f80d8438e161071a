import { fileURLToPath } from 'node:url';

// What is built: the test run builds before it begins, and a process starts in a third of the time that its sources take.
/** What Node.js is given to run a program of this repository, by the path of its source. */
export const program = (path: string): readonly string[] => [
  fileURLToPath(new URL(`../../${path.replace('/src/', '/dist/').replace(/\.ts$/, '.js')}`, import.meta.url)),
];

/** What Node.js is given to run `whet`. */
export const whetMain: readonly string[] = program('cli/src/main.ts');
