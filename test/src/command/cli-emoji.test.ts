import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadImageFolders, makeEmojiData } from '@whet/trainer';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { whetMain } from '../programs.js';
import { THINGS, writeEmojiSet } from './emoji-sets.js';
import { inFolder, runWhet } from './whet-process.js';

const root = await mkdtemp(join(tmpdir(), 'whet-cli-emoji-'));
afterAll(() => rm(root, { recursive: true, force: true }));

let folder: string;
let count = 0;
beforeEach(async () => {
  folder = join(root, String(count++));
  for (const style of ['one', 'two', 'three']) await writeEmojiSet(folder, style);
});

interface Manifest {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly sets: readonly { readonly style: string }[];
  readonly undrawn: readonly object[];
  readonly pictures: readonly { file: string; thing: string; split: string; set: string; icon: string }[];
}

const emoji = (...more: string[]) =>
  runWhet(folder, ['data', 'emoji', '--styles', 'one', 'two', 'three', '--size', '24', '--drawings', '2', ...more]);
const manifestOf = async (out: string): Promise<Manifest> =>
  JSON.parse(await readFile(join(folder, out, 'manifest.json'), 'utf8'));
const filesOf = async (out: string) => {
  const entries = await readdir(join(folder, out), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  return files.map((path) => path.slice(join(folder, out).length + 1)).sort();
};
const picturesOf = (manifest: Manifest) => manifest.pictures.map(({ file }) => file).sort();

describe('whet data emoji', () => {
  it('makes folders that training reads: a thing is a class, in one split, with pictures of every set', async () => {
    const { code, out, err } = await emoji('--out', 'out');
    expect(err).not.toContain('whet:');
    expect(code).toBe(0);
    const { splits, skipped, unread } = await loadImageFolders(join(folder, 'out'), {
      size: 24,
      cacheDirectory: join(folder, 'cache'),
    });
    expect([skipped, unread]).toEqual([undefined, undefined]);
    const classes = [...splits.train, ...splits.validation, ...splits.test];
    expect(classes.map(({ name }) => name).sort()).toEqual([...THINGS].sort());
    expect(new Set(classes.map((each) => each.count))).toEqual(new Set([6]));
    const { train, validation, test } = splits;
    expect(out).toBe(
      `out: ${THINGS.length * 6} pictures of ${THINGS.length} things by 3 sets; train ${train.length}, ` +
        `validation ${validation.length}, test ${test.length}; who drew them: ${join('out', 'CREDITS.md')}\n`,
    );
  });

  it('says of every picture its set, and of every set its author, version and licence', async () => {
    await writeEmojiSet(folder, 'two', { spdx: 'CC-BY-4.0' });
    await emoji('--out', 'out');
    const manifest = await manifestOf('out');
    expect(await filesOf('out')).toEqual(['CREDITS.md', 'manifest.json', ...picturesOf(manifest)].sort());
    for (const { file, thing, split, set, icon } of manifest.pictures) {
      expect(file).toMatch(new RegExp(`^${split}/${thing}/${set}-[12]\\.webp$`));
      expect(icon).toBe(thing);
    }
    expect(manifest.settings).toMatchObject({ size: 24, drawings: 2, seed: 0, least: 3 });
    const credits = await readFile(join(folder, 'out', 'CREDITS.md'), 'utf8');
    expect(credits).toContain(
      '| `two` | Set two 3.2.1 | [Team two](https://example.org/two) | ' +
        '[CC-BY-4.0](https://example.org/licences/CC-BY-4.0) | @iconify-json/two 1.2.3 | 22 |',
    );
  });

  it('makes the same again, others by another seed, and the same of a set whatever others there are', async () => {
    await writeEmojiSet(folder, 'four');
    await emoji('--out', 'first');
    await emoji('--out', 'again');
    await emoji('--out', 'other', '--seed', '1');
    await emoji('--out', 'more', '--styles', 'four');
    const files = picturesOf(await manifestOf('first'));
    let changed = 0;
    for (const file of files) {
      const bytes = await readFile(join(folder, 'first', file));
      expect(bytes.equals(await readFile(join(folder, 'again', file)))).toBe(true);
      expect(bytes.equals(await readFile(join(folder, 'more', file)))).toBe(true);
      if (!bytes.equals(await readFile(join(folder, 'other', file)))) changed++;
    }
    expect(changed).toBe(files.length);
    expect((await manifestOf('more')).pictures).toHaveLength((files.length * 4) / 3);
  });

  it('leaves out what cannot be drawn, names it, and leaves out a thing of which too little is left', async () => {
    await writeEmojiSet(folder, 'two', { icons: { anchor: '<rect', cactus: '<g/>' } });
    const { err, out } = await emoji('--out', 'out', '--least', '2');
    expect(err).toContain('left out 2 drawings that cannot be drawn: two:anchor, two:cactus\n');
    expect(out).toContain(`${THINGS.length * 6 - 4} pictures of ${THINGS.length} things`);
    const { undrawn } = await manifestOf('out');
    expect(undrawn).toEqual([
      { set: 'two', icon: 'anchor', reason: expect.stringMatching(/\S/) },
      { set: 'two', icon: 'cactus', reason: 'nothing is drawn' },
    ]);
    const strict = await emoji('--out', 'strict', '--least', '3');
    expect(strict.out).toContain(`pictures of ${THINGS.length - 2} things`);
    expect((await manifestOf('strict')).pictures.some(({ thing }) => thing === 'anchor')).toBe(false);
  });

  it('keeps styles that are held back out of train and validation, and apart from test', async () => {
    await emoji('--out', 'out', '--hold-back-style', 'two', 'three');
    const { pictures } = await manifestOf('out');
    const folderOf = ({ file }: { readonly file: string }) => file.split('/')[0];
    expect(new Set(pictures.filter(({ set }) => set === 'one').map(folderOf))).toEqual(
      new Set(['train', 'validation', 'test']),
    );
    const heldBack = pictures.filter(({ set }) => set !== 'one');
    expect(new Set(heldBack.map(folderOf))).toEqual(new Set(['held-back']));
    const tested = pictures.filter((each) => folderOf(each) === 'test').map(({ thing }) => thing);
    expect(new Set(heldBack.map(({ thing }) => thing))).toEqual(new Set(tested));
    const alone = await emoji('--out', 'alone', '--hold-back-style', 'two', 'three', '--only', 'held-back');
    const count = new Set(tested).size;
    expect(alone.out).toContain(`${4 * count} pictures of ${count} things by 3 sets; held-back ${count}; who`);
    const files = picturesOf(await manifestOf('alone'));
    expect(files).toEqual(heldBack.map(({ file }) => file).sort());
    const [first = ''] = files;
    expect(await readFile(join(folder, 'alone', first))).toEqual(await readFile(join(folder, 'out', first)));
    const none = await emoji('--out', 'none', '--only', 'held-back');
    expect(none.err).toContain(
      `emoji: expected things for held-back, got none in held-back of ${THINGS.length} things`,
    );
  });

  it('leaves out sets whose pictures only go under the same licence, where that is asked for', async () => {
    await writeEmojiSet(folder, 'two', { spdx: 'CC-BY-SA-4.0' });
    const { err, out } = await emoji('--out', 'out', '--licences', 'permissive');
    expect(err).toContain('left out for their licence: two (CC-BY-SA-4.0)\n');
    expect(out).toContain('by 2 sets');
    expect((await manifestOf('out')).sets.map(({ style }) => style)).toEqual(['one', 'three']);
    for (const style of ['one', 'three']) await writeEmojiSet(folder, style, { spdx: 'GPL-3.0' });
    const none = await emoji('--out', 'none/inside', '--licences', 'permissive');
    expect(none.err).toContain('expected a set under MIT, Apache-2.0, CC-BY-4.0, got none');
    expect(await readdir(folder)).not.toContain('none');
  });

  it('refuses to hold back a set that is left out for its licence', async () => {
    await writeEmojiSet(folder, 'two', { spdx: 'CC-BY-SA-4.0' });
    const { code, err } = await emoji('--out', 'out', '--licences', 'permissive', '--hold-back-style', 'one', 'two');
    expect(code).toBe(1);
    expect(err).toContain('emoji: expected to hold back sets under MIT, Apache-2.0, CC-BY-4.0, got two (CC-BY-SA-4.0)');
    expect(await readdir(folder)).not.toContain('out');
  });

  it('reads sets of another project, from a folder inside of it', async () => {
    await mkdir(join(folder, 'empty'));
    const made = await runWhet(join(folder, 'empty'), [
      'data',
      'emoji',
      '--out',
      'out',
      '--styles',
      'one',
      'two',
      '--size',
      '8',
      '--drawings',
      '1',
    ]);
    expect(made.err).not.toContain('whet:');
    const far = await mkdtemp(join(tmpdir(), 'whet-far-'));
    const args = ['data', 'emoji', '--out', 'out', '--sets', folder, '--size', '8', '--styles'];
    const missing = await runWhet(far, [...args, 'four']);
    expect(missing.err).toContain(`npm install --no-save --prefix ${folder} @iconify-json/four`);
    expect((await runWhet(far, [...args, 'one'])).code).toBe(0);
    await rm(far, { recursive: true });
  });

  it.each<[string, string[], string | RegExp]>([
    [
      'sets that are not there, and says how to get them',
      ['--styles', 'one', 'noto', 'fxemoji'],
      /expected @iconify-json\/noto, @iconify-json\/fxemoji in node_modules of .* or above it, got none: npm install --no-save @iconify-json\/noto @iconify-json\/fxemoji\n/,
    ],
    ['a set of a strange name', ['--styles', '../one'], 'expected a name such as noto-v1, got "../one"'],
    ['no size', ['--size', '0'], 'expected a whole number of 1 or more'],
    [
      'a size that cannot be drawn',
      ['--size', '5000'],
      'emoji: size: expected a whole number from 1 to 2048, got 5000',
    ],
    ['too many drawings', ['--drawings', '1001'], 'emoji: drawings: expected a whole number from 1 to 1000, got 1001'],
    ['more sets than there are', ['--least', '4'], 'emoji: least: expected a whole number from 1 to 3, got 4'],
    [
      'to hold back what is not read',
      ['--hold-back-style', 'noto'],
      'expected to hold back some of one, two, three, got noto',
    ],
    [
      'to hold back all',
      ['--hold-back-style', 'one', 'two', 'three'],
      'got none in train of 11 things; read more sets',
    ],
    ['an unknown choice of licences', ['--licences', 'none'], 'Allowed choices are any, permissive'],
  ])('refuses %s', async (_, more, message) => {
    const { code, err } = await emoji('--out', 'out', ...more);
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(await readdir(folder)).not.toContain('out');
  });

  it('refuses a folder that is not empty, or cannot be written, and leaves it as it is', async () => {
    await mkdir(join(folder, 'full'));
    await writeFile(join(folder, 'full', 'mine.txt'), 'mine');
    expect((await emoji('--out', 'full')).err).toContain('full: expected an empty folder, got mine.txt');
    expect(await readdir(join(folder, 'full'))).toEqual(['mine.txt']);
    const inFile = join('full', 'mine.txt', 'out');
    expect((await emoji('--out', inFile)).err).toContain(
      `${inFile}: expected a folder that can be written, got Error: ENOTDIR`,
    );
  });

  it('names the file of a set that is not what it should be', async () => {
    const place = join(folder, 'node_modules', '@iconify-json', 'two');
    const refused = async () => (await emoji('--out', 'out')).err;
    await writeFile(join(place, 'info.json'), JSON.stringify({ name: 'Set two', author: { name: 'Team two' } }));
    expect(await refused()).toContain(`${join(place, 'info.json')}: license: Invalid input`);
    await rm(join(place, 'info.json'));
    expect(await refused()).toContain(`${join(place, 'info.json')}: expected JSON of an icon set, got Error: ENOENT`);
    await writeFile(join(place, 'icons.json'), '{"icons": {');
    expect(await refused()).toContain(`${join(place, 'icons.json')}: expected JSON of an icon set, got SyntaxError`);
    await writeFile(join(place, 'icons.json'), JSON.stringify({ icons: { bear: { body: 3 } } }));
    expect(await refused()).toContain(`${join(place, 'icons.json')}: icons.bear.body: Invalid input`);
  });

  it('keeps nothing where it is interrupted', async () => {
    const args = ['data', 'emoji', '--out', 'out', '--styles', 'one', 'two', '--drawings', '1000'];
    const child = spawn(process.execPath, [...whetMain, ...args], inFolder(folder));
    let err = '';
    child.stderr.on('data', (text) => {
      err += text;
    });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    while (child.exitCode === null && !(await readdir(join(folder, 'out')).catch(() => [])).length) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    child.kill('SIGINT');
    expect(await ended).toBe(1);
    expect(err).toContain('whet: interrupted; nothing was kept');
    expect(await readdir(folder)).not.toContain('out');
  });

  it.each(['drawings', 'pictures'] as const)(
    'keeps a folder that was there, empty, where the work ends among %s',
    async (what) => {
      await mkdir(join(folder, 'mine'));
      for (const out of ['mine', join('mine', 'not', 'yet')]) {
        const ends = new AbortController();
        const making = makeEmojiData(join(folder, out), {
          sets: folder,
          styles: ['one', 'two', 'three'],
          size: 8,
          signal: ends.signal,
          onProgress: (now, done) => now === what && done === 3 && ends.abort(new Error('ended')),
        });
        await expect(making).rejects.toThrow('ended');
        expect(await readdir(join(folder, 'mine'))).toEqual([]);
      }
    },
  );
});
