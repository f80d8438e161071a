import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import * as z from 'zod/mini';
import { DataError } from '../data/dataset.js';

/** Sets that draw the same things, by the names of their packages `@iconify-json/<name>`. */
export const emojiStyles = [
  'emojione',
  'emojione-v1',
  'fluent-emoji',
  'fluent-emoji-flat',
  'fxemoji',
  'noto',
  'noto-v1',
  'openmoji',
  'twemoji',
] as const;

/** Licences under which drawings may be passed on with changes, under any other licence, by who names their authors. */
export const permissiveLicences: readonly string[] = ['MIT', 'Apache-2.0', 'CC-BY-4.0'];

/** A drawing of a set. */
export interface Icon {
  /** What stands inside of the SVG's element `svg`. */
  readonly body: string;
  /** Its viewBox. */
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly hFlip: boolean;
  readonly vFlip: boolean;
  /** Quarter turns clockwise, after the flips. */
  readonly rotate: number;
}

export interface NamedIcon {
  /** Of the drawing: several names may mean one. */
  readonly id: string;
  readonly icon: Icon;
}

/** An emoji set, of one team, version and licence. */
export interface IconSet {
  readonly style: string;
  readonly title: string;
  /** `@iconify-json/<style>`, and the version that was read. */
  readonly package: string;
  readonly packageVersion: string;
  /** Of the drawings, where their package says. */
  readonly version?: string;
  readonly author: { readonly name: string; readonly url?: string | undefined };
  readonly licence: { readonly title: string; readonly spdx?: string | undefined; readonly url?: string | undefined };
  /** By every name of theirs. */
  readonly icons: ReadonlyMap<string, NamedIcon>;
}

const sizes = {
  left: z.optional(z.number()),
  top: z.optional(z.number()),
  width: z.optional(z.number().check(z.positive())),
  height: z.optional(z.number().check(z.positive())),
};
const changes = {
  ...sizes,
  hFlip: z.optional(z.boolean()),
  vFlip: z.optional(z.boolean()),
  rotate: z.optional(z.number()),
};
const infoSchema = z.object({
  name: z.string(),
  version: z.optional(z.string()),
  author: z.object({ name: z.string(), url: z.optional(z.string()) }),
  license: z.object({ title: z.string(), spdx: z.optional(z.string()), url: z.optional(z.string()) }),
});
const iconsSchema = z.object({
  ...sizes,
  info: z.optional(infoSchema),
  icons: z.record(z.string(), z.object({ ...changes, body: z.string() })),
  aliases: z.optional(z.record(z.string(), z.object({ ...changes, parent: z.string() }))),
});
type Icons = z.infer<typeof iconsSchema>;
type Changes = Partial<Omit<Icon, 'body'>>;

const packageOf = (style: string): string => `@iconify-json/${style}`;

/**
 * Reads sets from the `node_modules` of `directory`, or of a folder above it, as Node.js finds them.
 *
 * @throws {DataError} saying how to install the sets that are missing, or naming the file that is not what it should be.
 */
export async function readIconSets(directory: string, styles: readonly string[]): Promise<IconSet[]> {
  for (const style of styles) {
    if (!/^[a-z0-9-]+$/.test(style)) throw new DataError(`emoji sets: expected a name such as noto-v1, got "${style}"`);
  }
  const folders = await Promise.all(styles.map((style) => findPackage(directory, packageOf(style))));
  const missing = styles.filter((_, i) => folders[i] === undefined).map(packageOf);
  if (missing.length > 0) {
    const where = directory === '.' ? '' : `--prefix ${directory} `;
    throw new DataError(
      `emoji sets: expected ${missing.join(', ')} in node_modules of ${resolve(directory)} or above it, got none: ` +
        `npm install --no-save ${where}${missing.join(' ')}`,
    );
  }
  const sets: IconSet[] = [];
  // One after the other: as text, a set may take 100 MB.
  for (const [i, style] of styles.entries()) sets.push(await readIconSet(folders[i] as string, style));
  return sets;
}

async function findPackage(directory: string, name: string): Promise<string | undefined> {
  for (let at = resolve(directory); ; at = dirname(at)) {
    const folder = join(at, 'node_modules', name);
    const found = await stat(folder).catch(() => undefined);
    if (found?.isDirectory()) return folder;
    if (at === dirname(at)) return undefined;
  }
}

async function readIconSet(folder: string, style: string): Promise<IconSet> {
  const icons = await readJson(join(folder, 'icons.json'), iconsSchema);
  const info = icons.info ?? (await readJson(join(folder, 'info.json'), infoSchema));
  const { version } = await readJson(join(folder, 'package.json'), z.object({ version: z.string() }));
  return {
    style,
    title: info.name,
    package: packageOf(style),
    packageVersion: version,
    ...(info.version === undefined ? {} : { version: info.version }),
    author: info.author,
    licence: info.license,
    icons: iconsOf(icons),
  };
}

async function readJson<T>(path: string, schema: z.ZodMiniType<T>): Promise<T> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new DataError(`${path}: expected JSON of an icon set, got ${String(cause)}`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [{ path: at, message } = { path: [], message: '' }] = parsed.error.issues;
  throw new DataError(`${path}: ${at.join('.')}: ${message}`, { cause: parsed.error });
}

/** The icons and aliases of a set (Iconify's `IconifyJSON`): an alias is another name, or a drawing that is turned or mirrored. */
function iconsOf(set: Icons): Map<string, NamedIcon> {
  const found = new Map<string, NamedIcon>();
  for (const [name, own] of Object.entries(set.icons)) {
    const plain = { body: own.body, left: 0, top: 0, width: 16, height: 16, hFlip: false, vFlip: false, rotate: 0 };
    found.set(name, { id: name, icon: changed(changed(plain, set), own) });
  }
  const resolveName = (name: string, within: readonly string[]): NamedIcon | undefined => {
    const known = found.get(name);
    const alias = set.aliases?.[name];
    if (known || !alias || within.includes(name)) return known;
    const parent = resolveName(alias.parent, [...within, name]);
    if (!parent) return undefined;
    const isOther = Object.keys(alias).some((key) => key !== 'parent');
    const made = { id: isOther ? name : parent.id, icon: changed(parent.icon, alias) };
    found.set(name, made);
    return made;
  };
  for (const name of Object.keys(set.aliases ?? {})) resolveName(name, []);
  return found;
}

function changed(
  icon: Icon,
  { left, top, width, height, hFlip, vFlip, rotate }: { [K in keyof Changes]: Changes[K] | undefined },
): Icon {
  return {
    body: icon.body,
    left: left ?? icon.left,
    top: top ?? icon.top,
    width: width ?? icon.width,
    height: height ?? icon.height,
    hFlip: icon.hFlip !== (hFlip ?? false),
    vFlip: icon.vFlip !== (vFlip ?? false),
    rotate: (icon.rotate + (rotate ?? 0)) % 4,
  };
}
