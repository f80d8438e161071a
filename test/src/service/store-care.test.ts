import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import type { Bundle } from '@whet/runtime';
import {
  addKey,
  checkStore,
  copyStore,
  openStore,
  type ProfileDraft,
  type ProfileStore,
  StoreDamagedError,
  StoreUnavailableError,
} from '@whet/server';
import { open } from 'lmdb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommand } from 'whet';
import { readDump, writeDump } from '../../../server/src/stores/dump.js';
import { type Tables as OpenTables, openTables } from '../../../server/src/stores/lmdb-tables.js';
import { openTinyBundle, tensorOf } from './server-fixture.js';

const PAGE = 4096;

/** The tables of a store, and the keys of its profiles in their order. */
type Tables = OpenTables & { ids(i: number): string[] };
type KeyRecord = Parameters<OpenTables['keys']['putSync']>[1];

let folder: string;
let bundle: Bundle;
let draft: ProfileDraft;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-care-'));
  bundle = await openTinyBundle();
  const examples = (['left', 'top'] as const).map((label) => ({ label, image: Float32Array.from(tensorOf(label)) }));
  const { profile } = await bundle.adapt(examples, { pattern: 'head' });
  const { pattern, classes } = profile;
  draft = { model: 'tiny', pattern, classes, examples: [1, 1], bytes: profile.toBytes() };
});
afterAll(async () => {
  await bundle.release();
  await rm(folder, { recursive: true, force: true });
});

/** Profiles of two owners and two keys. */
async function fill(store: ProfileStore, count = 40): Promise<void> {
  await addKey(store.keys, { name: 'phone' });
  await addKey(store.keys, { name: 'prometheus', role: 'operator', rateLimit: 60 });
  for (let i = 0; i < count; i++) {
    const first = await store.put(
      i % 2 ? 'a' : 'ä "',
      `id-${i}`,
      { ...draft, classes: ['left', `class-${i}`] },
      undefined,
    );
    if (i % 8 === 0) await store.put('ä "', `id-${i}`, draft, first);
  }
}

async function fillFolder(name: string): Promise<string> {
  const path = join(folder, name);
  const store = await openStore(path);
  await fill(store);
  await store.close();
  return path;
}

/** Pages of a file that hold this text, those of earlier versions included. */
function pagesWith(file: Buffer, text: string): Buffer[] {
  const pages = Array.from({ length: file.length / PAGE }, (_, i) => file.subarray(i * PAGE, (i + 1) * PAGE));
  return pages.filter((page) => page.includes(text));
}

describe('a damaged file', () => {
  let whole: Buffer;
  beforeAll(async () => {
    whole = await readFile(join(await fillFolder('whole'), 'data.mdb'));
  });
  const changed = (change: (file: Buffer) => void) => {
    const file = Buffer.from(whole);
    change(file);
    return file;
  };
  const inside = (text: string, fillWith: (page: Buffer) => void) =>
    changed((file) => pagesWith(file, text).forEach(fillWith));

  test.each<[string, () => Buffer, RegExp?]>([
    ['is cut inside', () => whole.subarray(0, 3 * PAGE + 100), /a damaged file: it has 12388 of \d+ bytes/],
    [
      'counts another table',
      () =>
        changed((file) => {
          // Of both heads, the entries of the second of the two trees that they have.
          for (const head of [0, PAGE]) file.writeUInt8(file.readUInt8(head + 128) + 1, head + 128);
        }),
      /a damaged file: its list of tables has \d of \d entries/,
    ],
    ['is cut in its first page', () => whole.subarray(0, 1000)],
    ['is empty', () => Buffer.alloc(0)],
    ['has no first head', () => changed((file) => file.fill(0, 0, PAGE))],
    ['has no second head', () => changed((file) => file.fill(0, PAGE, 2 * PAGE))],
    ['has nothing but zeros', () => Buffer.alloc(whole.length)],
    ['is something else', () => Buffer.from('{ "not": "a store" }\n'.repeat(3000))],
    ['has a page of zeros', () => inside('class-21', (page) => page.fill(0))],
    ['has a page of noise', () => inside('class-21', (page) => page.set(page.map((_, i) => i * 97 + 13)))],
    ['has pointers that lead nowhere', () => inside('class-21', (page) => page.fill(0xff, 0, 200))],
    ['has a list of tables that leads nowhere', () => inside('totals', (page) => page.fill(0x7f, 24, 400))],
    ['has another name in a profile', () => changed((file) => file.write('clasS-21', file.lastIndexOf('class-21')))],
    [
      'has another number in a profile',
      () => {
        const value = Buffer.from(draft.bytes.slice(-24));
        return changed((file) => file.writeUInt8(99, file.lastIndexOf(value) + 7));
      },
    ],
  ])('that %s is told in words, with what to do, and left as it is', async (what, make, said = /./) => {
    const path = join(folder, `damaged ${what}`);
    await mkdir(path, { mode: 0o700 });
    const [file, damage] = [join(path, 'data.mdb'), make()];
    await writeFile(file, damage);
    const error = await openStore(path).then(
      (store) => store.close(),
      (reason: Error) => reason,
    );
    expect(error).toBeInstanceOf(StoreDamagedError);
    expect(String(error)).toMatch(/data\.mdb: expected .+, got a damaged file: .+ whet store copy COPY FOLDER/);
    expect(String(error)).toMatch(said);
    expect((await readFile(file)).equals(damage)).toBe(true);
  });

  // Whole for LMDB, and not what a store writes.
  test.each<[string, (tables: Tables) => unknown, string]>([
    ['a profile without bytes', ({ values, ids }) => values.removeSync(ids(0)), 'profile id-1 has no bytes'],
    ['no table of uses', ({ uses }) => uses.dropSync(), 'a damaged file: it has no "uses"'],
    [
      'another total',
      ({ totals }) => totals.putSync('a', { profiles: 99, bytes: 1 }),
      '"totals" has 99 profiles of a namespace that has 20',
    ],
    [
      'bytes of no profile',
      ({ values }) => values.putSync(['\uffff', 'z'], draft.bytes),
      'there are bytes without a profile',
    ],
    ['bytes too few', ({ values, ids }) => values.putSync(ids(0), draft.bytes.slice(1)), 'profile id-1 has '],
    [
      'other bytes',
      ({ values, ids }) =>
        values.putSync(
          ids(0),
          draft.bytes.map((byte) => byte ^ 1),
        ),
      'has other bytes than were written',
    ],
    [
      'a use of another profile',
      ({ uses }) => uses.putSync(['z', 1, 'z'], true),
      '"uses" lists other than the 40 profiles',
    ],
    ['no total', ({ totals }) => totals.removeSync([...totals.getKeys()][0] as string), '"totals" lacks a namespace'],
    [
      'a key under another name',
      ({ keys }) => keys.putSync('other', [...keys.getRange()][0]?.value as KeyRecord),
      'a key is not under its hash',
    ],
  ])('that has %s is told in words', async (what, change, message) => {
    const path = await fillFolder(`tables ${what}`);
    const root = open({ path, noSubdir: false, maxDbs: 8, cache: false });
    const tables = openTables(root);
    const all = [...tables.infos.getKeys()];
    change({ ...tables, ids: (i) => all[i] as string[] });
    await root.close();
    await expect(openStore(path).then((store) => store.close())).rejects.toThrow(message);
  });

  test.each(['data.mdb', 'lock.mdb'])('is not what a folder is called in the place of %s', async (name) => {
    const path = await fillFolder(`directory-${name}`);
    await rm(join(path, name));
    await mkdir(join(path, name));
    await expect(openStore(path)).rejects.toBeInstanceOf(StoreUnavailableError);
    await expect(openStore(path)).rejects.toThrow(`${name}: expected a file, got a folder or a pipe`);
  });

  test('in a profile that is read later does not become an answer', async () => {
    const path = await fillFolder('later');
    const store = await openStore(path);
    const file = await readFile(join(path, 'data.mdb'));
    const value = Buffer.from(draft.bytes.slice(-24));
    for (let at = file.indexOf(value); at >= 0; at = file.indexOf(value, at + 1)) file.writeUInt8(99, at + 7);
    await writeFile(join(path, 'data.mdb'), file, { flag: 'r+' });
    await expect(store.get('a', 'id-1')).rejects.toBeInstanceOf(StoreDamagedError);
    await expect(store.get('a', 'id-1')).rejects.toThrow(
      'data.mdb: profile id-1: expected the bytes that were written, got others',
    );
    await store.close();
  });
});

describe('copies', () => {
  let path: string;
  let dump: string;
  beforeAll(async () => {
    path = await fillFolder('origin');
    dump = join(folder, 'origin.jsonl');
    await copyStore(path, dump);
  });
  const counts = { profiles: 40, keys: 2 };

  test('of a folder in a dump and back are the same, versions, times and keys included', async () => {
    expect((await stat(dump)).mode & 0o777).toBe(0o600);
    expect(await checkStore(dump)).toMatchObject(counts);
    const [back, again] = [join(folder, 'back'), join(folder, 'again.jsonl')];
    expect(await copyStore(dump, back)).toMatchObject(counts);
    expect(await checkStore(back)).toMatchObject(counts);
    await copyStore(back, again);
    expect(await readFile(again, 'utf8')).toBe(await readFile(dump, 'utf8'));
    const [one, other] = [await openStore(path), await openStore(back)];
    expect(await other.get('ä "', 'id-8')).toEqual(await one.get('ä "', 'id-8'));
    expect(await other.keys.list()).toEqual(await one.keys.list());
    await Promise.all([one.close(), other.close()]);
  });

  test('go to no place where something is, and come from none where nothing is', async () => {
    await expect(copyStore(path, dump)).rejects.toThrow(`${dump}: expected a new file, got one that is there`);
    await expect(copyStore(dump, path)).rejects.toThrow('expected an empty store, got one with 40 profiles and 2 keys');
    const nothing = join(folder, 'nothing');
    await expect(copyStore(nothing, dump)).rejects.toThrow(`${nothing}: expected a store, got none`);
    await expect(checkStore(nothing)).rejects.toThrow(`${nothing}: expected a store, got none`);
    expect(existsSync(nothing)).toBe(false);
    await expect(copyStore('memory:', nothing)).rejects.toThrow(
      'expected a folder, postgres://... or a file that ends in .jsonl, got memory:, of which nothing is kept',
    );
    await expect(openStore(dump)).rejects.toThrow(
      `store: expected a folder, postgres://... or memory:, got a dump; first: whet store copy ${dump} FOLDER`,
    );
  });

  test.each<[string, (lines: string[]) => string[], string]>([
    ['lacks its end', (lines) => lines.slice(0, -1), 'line 44: expected the line that says how much there is'],
    [
      'is cut in a line',
      (lines) => [...lines.slice(0, 9), (lines[9] as string).slice(0, 80)],
      'line 10: expected JSON',
    ],
    ['lacks a line', (lines) => lines.toSpliced(5, 1), 'line 43: expected {"profiles":40'],
    ['has a line twice', (lines) => lines.toSpliced(5, 0, lines[5] as string), '"profiles":41'],
    ['has another name', (lines) => lines.map((line) => line.replace('class-21', 'class-12')), '"sha256":'],
    [
      'has a member more',
      (lines) => lines.map((line) => line.replace('{"profile":{', '{"profile":{"x":1,')),
      'line 2: expected a profile',
    ],
    [
      'is of a newer Whet',
      (lines) => ['{"whet":"store","format":2}', ...lines.slice(1)],
      'line 1: expected a dump of format 1',
    ],
    ['is something else', () => ['{}'], 'line 1: expected a dump of format 1'],
    ['is empty', () => [], 'line 1: expected the line that says'],
  ])('of a dump that %s are refused before anything is written', async (what, change, message) => {
    const changed = join(folder, `${what}.jsonl`);
    const lines = (await readFile(dump, 'utf8')).trimEnd().split('\n');
    await writeFile(
      changed,
      change(lines)
        .map((line) => `${line}\n`)
        .join(''),
    );
    await expect(checkStore(changed)).rejects.toThrow(message);
    const target = join(folder, `from ${what}`);
    await expect(copyStore(changed, target)).rejects.toBeInstanceOf(StoreDamagedError);
    expect(existsSync(target)).toBe(false);
  });

  test('that fail leave no half of a dump', async () => {
    const target = join(folder, 'half.jsonl');
    const changed = join(folder, 'short.jsonl');
    await writeFile(changed, (await readFile(dump, 'utf8')).slice(0, -30));
    await expect(copyStore(changed, target)).rejects.toBeInstanceOf(StoreDamagedError);
    expect((await readdir(folder)).filter((name) => name.startsWith('half.jsonl'))).toEqual([]);
  });

  test('have the name of a dump only when they are whole, so that one that is killed leaves none', async () => {
    const target = join(folder, 'slow.jsonl');
    const here = async () => (await readdir(folder)).filter((name) => name.startsWith('slow.jsonl'));
    let go = () => {};
    const gone = new Promise<void>((resolve) => {
      go = resolve;
    });
    async function* slow() {
      for await (const entry of readDump(dump)) {
        yield entry;
        await gone;
      }
    }
    const first = writeDump(target, slow());
    // As it would stay where the process is killed now.
    while ((await here()).length === 0) await pause(1);
    expect(await here()).toEqual([expect.stringMatching(/^slow\.jsonl\.[\da-f-]{36}\.part$/)]);
    expect(await copyStore(path, target)).toMatchObject(counts);
    go();
    await expect(first).rejects.toThrow(`${target}: expected a new file, got one that is there`);
    expect(await here()).toEqual(['slow.jsonl']);
    expect(await readFile(target, 'utf8')).toBe(await readFile(dump, 'utf8'));
  });

  test('and checks by the command', async () => {
    const target = join(folder, 'by command.jsonl');
    await runCommand(['store', 'copy', path, target]);
    await runCommand(['store', 'check', target]);
    expect(process.exitCode).toBeUndefined();
    expect(await readFile(target, 'utf8')).toBe(await readFile(dump, 'utf8'));
    await runCommand(['store', 'copy', path, target]);
    expect(process.exitCode).toBe(1);
    process.exitCode = undefined;
  });
});

test('a store whose profile no Whet can read is not all as written', async () => {
  const path = join(folder, 'unread');
  const store = await openStore(path);
  await store.put('me', 'x', { ...draft, bytes: Uint8Array.of(1, 2, 3) }, undefined);
  await store.close();
  await expect(checkStore(path)).rejects.toThrow('profile x: profile: ');
});

test('a store of Whet 0.6 is what it was, and is written on', async () => {
  const path = join(folder, 'old');
  await mkdir(path, { mode: 0o700 });
  const old = await readFile(new URL('../../fixtures/store-0.6.mdb.gz', import.meta.url));
  await writeFile(join(path, 'data.mdb'), gunzipSync(old));
  const store = await openStore(path);
  expect(await store.usage()).toEqual({ profiles: 3, bytes: 12 });
  expect((await store.get('me', 'id-2'))?.bytes).toEqual(Uint8Array.of(1, 2, 3, 2));
  expect(await store.keys.list()).toMatchObject([{ name: 'phone' }]);
  const info = await store.info('me', 'id-1');
  expect(await store.put('me', 'id-1', draft, info)).toMatchObject({ version: 2 });
  await store.check();
  await store.close();
  // Its own order of changes has no sizes.
  const later = await openStore(path, { ttlMs: 1000, now: () => Date.now() + 10_000 });
  expect(await later.usage()).toEqual({ profiles: 0, bytes: 0 });
  expect(await later.sweep()).toBe(3);
  await later.close();
});
