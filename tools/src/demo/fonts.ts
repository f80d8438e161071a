import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import opentype, { type Font } from 'opentype.js';

/** A handwriting font and whom to credit for it. */
export interface DemoFont {
  /** Short name, which is also the file name of its images. */
  readonly name: string;
  readonly family: string;
  readonly packageVersion: string;
  /** SPDX identifier. */
  readonly licence: string;
  readonly attribution: string;
  readonly font: Font;
}

const SCOPE = '@fontsource';
const LICENCES: readonly string[] = ['OFL-1.1', 'Apache-2.0'];

interface FontMetadata {
  readonly family: string;
  readonly license: { readonly type: string; readonly attribution: string };
}

type Field = 'attribution' | 'devDependencies' | 'family' | 'license' | 'type' | 'version';

/**
 * Returns every font among the test workspace's development dependencies, sorted by name.
 * Throws where a font's licence is not one of those the images may be made from, or its metadata cannot be read.
 */
export async function loadDemoFonts(workspaceFile: string): Promise<readonly DemoFont[]> {
  const workspace: unknown = JSON.parse(await readFile(workspaceFile, 'utf8'));
  if (!hasFields(workspace) || !hasFields(workspace.devDependencies)) {
    throw new Error(`${workspaceFile}: expected "devDependencies" to be an object`);
  }
  const names = Object.keys(workspace.devDependencies)
    .filter((name) => name.startsWith(`${SCOPE}/`))
    .map((name) => name.slice(SCOPE.length + 1))
    .sort();
  const resolve = createRequire(workspaceFile).resolve;
  return await Promise.all(names.map(async (name) => await loadFont(name, resolve)));
}

async function loadFont(name: string, resolve: NodeJS.RequireResolve): Promise<DemoFont> {
  const folder = dirname(resolve(`${SCOPE}/${name}/package.json`));
  const manifest: unknown = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const metadata: unknown = JSON.parse(await readFile(join(folder, 'metadata.json'), 'utf8'));
  if (!hasFields(manifest) || typeof manifest.version !== 'string') {
    throw new Error(`Font "${name}": expected its package.json to have a version`);
  }
  if (!isFontMetadata(metadata)) {
    throw new Error(`Font "${name}": expected its metadata.json to have a family and a licence with attribution`);
  }
  const licence = metadata.license.type;
  if (!LICENCES.includes(licence) || manifest.license !== licence) {
    throw new Error(
      `Font "${name}": expected licence ${LICENCES.join(' or ')} in both package.json and metadata.json, ` +
        `got ${String(manifest.license)} and ${licence}`,
    );
  }
  const bytes = await readFile(join(folder, 'files', `${name}-latin-400-normal.woff`));
  const font = opentype.parse(Uint8Array.from(bytes).buffer);
  return {
    name,
    family: metadata.family,
    packageVersion: manifest.version,
    licence,
    attribution: metadata.license.attribution,
    font,
  };
}

function isFontMetadata(value: unknown): value is FontMetadata {
  if (!hasFields(value) || typeof value.family !== 'string' || !hasFields(value.license)) return false;
  return typeof value.license.type === 'string' && typeof value.license.attribution === 'string';
}

function hasFields(value: unknown): value is Readonly<Partial<Record<Field, unknown>>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
