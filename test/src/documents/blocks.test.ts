import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { defaultLimits } from '@whet/server';
import { openApiDocument } from '@whet/server/openapi';
import { type Block, documentPaths, readDocument, repository } from '@whet/site/documents';
import { PEER_SCHEMA, readPeer } from '@whet/trainer';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whetMain } from '../programs.js';
import { Programs, programsOf } from './programs.js';
import { commandFault, commandsOf, knownFlags, whetNameFault } from './shell.js';

const documents = documentPaths().map((path) => readDocument(path));
const blocks = documents.flatMap((document) => document.blocks);

/** What looks after a block, by its language. */
const lookedAfter: Readonly<Record<string, 'run' | 'parsed' | 'compared' | 'shown'>> = {
  ts: 'run',
  js: 'run',
  sh: 'parsed',
  json: 'compared',
  java: 'compared',
  python: 'compared',
  // What a program prints is compared where it stands below one; what is drawn is shown.
  text: 'shown',
  '': 'shown',
};

const ofLanguage = (...languages: string[]): Block[] => blocks.filter(({ language }) => languages.includes(language));

it('every block of code is of a kind that something looks after', () => {
  expect(blocks.filter(({ language }) => !(language in lookedAfter)).map(({ where }) => where)).toEqual([]);
  for (const language of ['ts', 'js', 'sh', 'json']) expect(ofLanguage(language).length, language).toBeGreaterThan(0);
});

it('what is only shown holds no command', () => {
  const commands = ofLanguage('', 'text').filter(({ text }) =>
    /^ *(\$ |npm |npx |curl |whet \w+ -|import .* from )/m.test(text),
  );
  expect(commands.map(({ where }) => where)).toEqual([]);
});

describe('programs in documents', () => {
  const all = programsOf(ofLanguage('ts', 'js'));
  const programs = new Programs(all);
  beforeAll(() => programs.compile());
  afterAll(() => programs.remove());

  it.each(all.filter(({ runs }) => runs))('$name', async (program) => {
    const own = documents.find(({ path }) => path === program.document)?.blocks ?? [];
    const outputs = own.filter(
      ({ language }, i) => language === 'text' && program.blocks.includes(own[i - 1] as Block),
    );
    expect(await programs.run(program)).toBe(outputs.map(({ text }) => text).join(''));
  });

  it('for browsers are compiled with the others', () => {
    expect(all.filter(({ runs }) => !runs).length).toBeGreaterThan(0);
  });
});

describe('commands in documents', () => {
  it('are ones that npm, whet, curl and this repository know, with their options', async () => {
    const calls = ofLanguage('sh').flatMap(({ where, text }) => commandsOf(text).map((words) => ({ where, words })));
    expect(calls.length).toBeGreaterThan(80);
    const faults = await Promise.all(
      calls.map(async ({ where, words }) => [`${where}: ${words.join(' ')}`, await commandFault(words)]),
    );
    expect(faults.filter(([, fault]) => fault !== undefined)).toEqual([]);
  });

  it('are known where prose names them', async () => {
    const flags = await knownFlags();
    const faults: (string | undefined)[][] = [];
    for (const { where, text } of documents.flatMap(({ spans }) => spans)) {
      const [words = []] = /^(whet |npm run |npx vitest |--\w)/.test(text) ? commandsOf(text) : [];
      const whet = words[0] === 'whet' ? 1 : words[2] === 'whet' ? words.indexOf('--') + 1 || words.length : 0;
      if (whet > 0) faults.push([`${where}: ${text}`, await whetNameFault(words.slice(whet))]);
      else if (words[0]?.startsWith('--')) {
        const unknown = words.filter((word) => word.startsWith('--') && !flags.has(word));
        faults.push([`${where}: ${text}`, unknown.length > 0 ? `no command has ${unknown}` : undefined]);
      } else if (words.length > 0) faults.push([`${where}: ${text}`, await commandFault(words)]);
    }
    expect(faults.length).toBeGreaterThan(200);
    expect(faults.filter(([, fault]) => fault !== undefined)).toEqual([]);
  });

  it.each([
    ['npm run whet -- adopt', "unknown command 'adopt'"],
    ['npm run whet -- adapt --examples a --example a', "unknown option '--example'"],
    ['npm run whet -- adapt', "required option '--examples"],
    ['npm run whet -- predict', "missing required argument 'images'"],
    ['whet train --ways many', '--ways'],
    ['npm run nothing', 'package.json has no script nothing'],
    ['npm run bench:step -- --turns 3', 'bench:step: unknown option --turns'],
    ['curl -s http://127.0.0.1:8080/adopt -F a=@b.png', 'the OpenAPI document has no POST /adopt'],
    ['curl -s -X DELETE http://127.0.0.1:8080/predict', 'the OpenAPI document has no DELETE /predict'],
    ['npx vitest run test/src/nothing', 'there is no test/src/nothing'],
    ['node examples/nothing.mjs', 'there is no examples/nothing.mjs'],
    ['rm -rf build', 'nobody looks after rm'],
  ])('are refused: %s', async (line, fault) => {
    const [words = []] = commandsOf(line);
    expect(await commandFault(words)).toContain(fault);
  });

  it('are read as a shell does: over lines, in a row, without comments', () => {
    const text =
      'A=1 npm run x -- \\\n  --data "a b" > out.txt # says\nfor i in 1 2; do curl $i && echo "x; y"; done\n';
    expect(commandsOf(text)).toEqual([
      ['npm', 'run', 'x', '--', '--data', 'a b'],
      ['curl', '$i'],
      ['echo', 'x; y'],
    ]);
  });

  it('print what stands below them, but for numbers', async () => {
    const own = documents.find(({ path }) => path === 'cli/README.md')?.blocks ?? [];
    const at = own.findIndex(({ language }) => language === 'sh');
    const [commands, output] = own.slice(at, at + 2) as [Block, Block];
    const folder = mkdtempSync(join(tmpdir(), 'whet-shown-'));
    mkdirSync(join(folder, 'build'));
    symlinkSync(join(repository, 'models'), join(folder, 'models'));
    const whet = `${JSON.stringify(process.execPath)} ${whetMain.join(' ')}`;
    const script = commands.text.replaceAll('npm run whet --', whet);
    const { stdout } = await promisify(execFile)('bash', ['-euc', script], { cwd: folder });
    const plain = (text: string) =>
      text
        .replaceAll(/─+/g, '─')
        .replaceAll(/[\d.]+/g, '0')
        .replaceAll(/ +/g, ' ')
        .trim();
    expect(plain(stdout)).toBe(plain(output.text));
  });
});

describe('data in documents', () => {
  it('in JSON is what the OpenAPI document says that the service answers, or a file of another engine', async () => {
    const document = openApiDocument({ limits: defaultLimits, version: '0.0.0', auth: 'off' });
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema({ ...document, $id: 'openapi' });
    const schemas = Object.keys(document.components?.schemas ?? {});
    const isOfPeer = ({ text }: Block) => JSON.parse(text).schema === PEER_SCHEMA;
    const folder = await mkdtemp(join(tmpdir(), 'whet-blocks-'));
    for (const { where, text } of ofLanguage('json').filter(isOfPeer)) {
      await writeFile(join(folder, 'peer.json'), text);
      await expect(readPeer(join(folder, 'peer.json')), where).resolves.toBeDefined();
    }
    await rm(folder, { recursive: true });
    for (const { where, text } of ofLanguage('json').filter((block) => !isOfPeer(block))) {
      const fitting = schemas.filter((name) =>
        ajv.validate({ $ref: `openapi#/components/schemas/${name}` }, JSON.parse(text)),
      );
      expect(fitting, where).not.toEqual([]);
    }
  });

  it('in Java and Python is quoted from the examples', () => {
    const all = readdirSync(join(repository, 'examples'), { recursive: true, encoding: 'utf8' });
    const files = all.filter((file) => /\.(java|py)$/.test(file));
    expect(files.length).toBeGreaterThan(2);
    const lines = (text: string) =>
      text
        .trim()
        .split('\n')
        .map((line) => line.trim())
        .join('\n');
    const sources = files.map((file) => lines(readFileSync(join(repository, 'examples', file), 'utf8')));
    for (const { where, text } of ofLanguage('java', 'python')) {
      expect(
        sources.some((source) => source.includes(lines(text))),
        where,
      ).toBe(true);
    }
  });
});
