import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Packed, packAll } from '@whet/tools/release/pack-all';
import { published } from '@whet/tools/release/published';
import { beforeAll, describe, expect, it } from 'vitest';
import { packageJson, typesImported } from './packages.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const licence = readFileSync(join(root, 'LICENSE'), 'utf8');

let packed: ReadonlyMap<string, Packed>;
beforeAll(async () => {
  packed = await packAll();
});

describe.each(published)('the package in %s', (folder) => {
  const description = packageJson(folder);

  it('says what it is, where it comes from and under which licence', () => {
    expect(description).toMatchObject({
      description: expect.any(String),
      license: 'MIT',
      repository: { url: packageJson('compiler').repository?.url, directory: folder },
      version: packageJson('compiler').version,
    });
    expect(description.keywords?.length).toBeGreaterThan(2);
    expect(readFileSync(join(root, folder, 'LICENSE'), 'utf8')).toBe(licence);
  });

  it('holds what it offers, and neither sources, nor tests, nor what only they need', () => {
    const paths = packed.get(description.name)?.files.map(({ path }) => path) ?? [];
    expect(paths).toEqual(expect.arrayContaining(['package.json', 'README.md', 'LICENSE']));
    expect(paths.filter((path) => /^src\/|\.test\.|\.map$|tsbuildinfo$/.test(path))).toEqual([]);
    const targets = Object.values(description.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : [target['types'] as string, target['default'] as string],
    );
    for (const target of [...targets, ...Object.values(description.bin ?? {})]) {
      expect(paths).toContain(target.replace('./', ''));
    }
  });

  it('has declarations of what is installed with it', () => {
    const { dependencies = {}, peerDependencies = {} } = description;
    const installed = (name: string) => name.startsWith('node:') || name in dependencies || name in peerDependencies;
    // Express is written in JavaScript: its declarations are a package by themselves.
    const declared = (name: string) => name !== 'express' || `@types/${name}` in dependencies;
    const imported = [...typesImported(folder)];
    expect(imported.filter((name) => !installed(name) || !declared(name))).toEqual([]);
  });
});

it('what is published holds nothing twice', () => {
  const { files = [], unpackedSize = Number.NaN } = packed.get('@whet/page') ?? {};
  const paths = new Set(files.map(({ path }) => path));
  expect([...paths].filter((path) => path.endsWith('.wasm'))).toEqual([]);
  expect([...paths].filter((path) => path.endsWith('.wasm.gz')).length).toBeGreaterThan(0);
  expect(unpackedSize).toBeLessThan(14e6);
});
