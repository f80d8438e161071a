import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Things of every split. */
export const THINGS = ['anchor', 'bear', 'cactus', 'dolphin', 'eagle', 'fire', 'guitar', 'ant', 'bee', 'kite', 'lemon'];

/** A package of icons as Iconify publishes them, in the `node_modules` of a folder: a shape of its own for every name. */
export async function writeEmojiSet(
  folder: string,
  style: string,
  { spdx = 'MIT', icons = {} }: { readonly spdx?: string; readonly icons?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  const place = join(folder, 'node_modules', '@iconify-json', style);
  await mkdir(place, { recursive: true });
  const bodyOf = (i: number) =>
    `<rect x="2" y="2" width="${5 + i}" height="${14 - i}" rx="${i / 3}" fill="hsl(${i * 30} 80% 50%)"/>`;
  const own = Object.fromEntries(THINGS.map((name, i) => [name, { body: bodyOf(i) }]));
  const more = Object.fromEntries(Object.entries(icons).map(([name, body]) => [name, { body }]));
  const write = (name: string, value: object) => writeFile(join(place, name), JSON.stringify(value));
  await write('icons.json', { prefix: style, icons: { ...own, ...more }, width: 20, height: 20 });
  await write('info.json', {
    prefix: style,
    name: `Set ${style}`,
    version: '3.2.1',
    author: { name: `Team ${style}`, url: `https://example.org/${style}` },
    license: { title: `Licence ${spdx}`, spdx, url: `https://example.org/licences/${spdx}` },
  });
  await write('package.json', { name: `@iconify-json/${style}`, version: '1.2.3' });
}
