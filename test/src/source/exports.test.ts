import { operators } from '@whet/compiler';
import { describe, expect, it } from 'vitest';
import { isTest, parseSource, readSources, type Source } from './sources.js';

/** What an entry offers for Node.js and another for browsers: the same thing, on what each of them has. */
const ON_EACH_PLATFORM = new Set(['createSession', 'loadBundle', 'ortVersion']);
const PLATFORMS = /^runtime\/src\/(node|web|web\/\w+)\.ts$/;

/** Names that several files export, with these files. A table for operators has a rule of each operator's own name. */
function namesOfSeveralThings(sources: readonly Source[]): Record<string, string[]> {
  const files = new Map<string, string[]>();
  for (const { path, exports } of sources) {
    for (const name of new Set(exports)) {
      const onPlatform = ON_EACH_PLATFORM.has(name) && PLATFORMS.test(path);
      if (name in operators || onPlatform) continue;
      files.set(name, [...(files.get(name) ?? []), path]);
    }
  }
  return Object.fromEntries([...files].filter(([, paths]) => paths.length > 1));
}

describe('a name that is exported', () => {
  it('stands for one thing in all packages', () => {
    expect(namesOfSeveralThings(readSources().filter(({ path }) => !isTest(path)))).toEqual({});
  });

  it('is found where a type and a function of two packages share it', () => {
    const sources = [
      parseSource('trainer/src/a.ts', 'export interface Adapted { readonly losses: number[] }'),
      parseSource('server/src/b.ts', 'export const [Adapted, other] = [1, 2];'),
    ];
    expect(namesOfSeveralThings(sources)).toEqual({ Adapted: ['trainer/src/a.ts', 'server/src/b.ts'] });
  });

  it('may be exported anew, and twice by the file that makes a type and a value of it', () => {
    const sources = [
      parseSource('trainer/src/a.ts', 'export const rules = 1; export type rules = number;'),
      parseSource('trainer/src/index.ts', "export { rules } from './a.js';"),
      parseSource('cli/src/index.ts', "import { rules } from '@whet/trainer'; export { rules };"),
    ];
    expect(namesOfSeveralThings(sources)).toEqual({});
  });
});
