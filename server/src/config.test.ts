import { homedir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError, flagOf, maskConfig, readConfig, type SettingName, settings, variableOf } from './config.js';

const file = (value: unknown) => ({ path: 'whet.json', text: JSON.stringify(value) });

test('takes a flag before the environment, that before a file, and that before the default', () => {
  const flags = { port: '1' };
  const environment = { WHET_PORT: '2', WHET_ADAPT_QUEUE: '3' };
  const inFile = file({ port: 4, adaptQueue: 5, batchImages: 6 });
  const config = readConfig({ flags, environment, file: inFile });
  expect(config).toMatchObject({ port: 1, adaptQueue: 3, batchImages: 6, host: '127.0.0.1', auth: 'auto' });
  expect(config.profileDays).toBeUndefined();
});

test('every setting has a flag, a variable and a member of a file, which mean the same', () => {
  const samples: Record<SettingName, unknown> = {
    ...(Object.fromEntries(Object.keys(settings).map((name) => [name, '1024'])) as Record<SettingName, unknown>),
    auth: 'keys',
    proxies: '1',
    threads: '2',
    adaptThreads: '2',
    preload: 'all',
    adaptNiceness: '5',
    batchWaitMs: '5',
    hostNames: 'whet.example.org,whet',
    corsOrigins: 'https://a.example,https://b.example',
    profileDays: '0.5',
    logLevel: 'warn',
  };
  for (const name of Object.keys(settings) as SettingName[]) {
    const value = samples[name];
    const expected = readConfig({ flags: { [name]: value } })[name];
    expect(readConfig({ environment: { [variableOf(name)]: String(value) } })[name]).toEqual(expected);
    expect(readConfig({ file: file({ [name]: value }) })[name]).toEqual(expected);
    expect(flagOf(name)).toMatch(/^--[a-z]+(-[a-z]+)*$/);
  }
  expect(readConfig({ flags: samples }).corsOrigins).toEqual(['https://a.example', 'https://b.example']);
});

test.each([
  [{ flags: { port: '65536' } }, '--port: expected a whole number from 0 to 65535, got "65536"'],
  [{ flags: { corsOrigins: 'https://a.example/' } }, '--cors-origins: expected origins as https://example.org'],
  [{ flags: { corsOrigins: 'https://a.example,a.example' } }, '--cors-origins: expected origins'],
  [{ file: file({ corsOrigins: ['HTTPS://A.example'] }) }, 'whet.json: corsOrigins: expected origins'],
  [{ flags: { hostNames: 'a.example:80' } }, '--host-names: expected names'],
  [{ environment: { WHET_RATELIMIT: '5' } }, 'WHET_RATELIMIT: expected WHET_HOST, '],
  [{ environment: { WHET_RATELIMIT: '5' } }, ' of the variables called WHET_..., got another'],
  [{ flags: { store: 'mysql://u:secret@h/d' } }, '--store: expected a folder, postgres://... or memory:, got another'],
  [{ flags: { port: '-1' } }, '--port: expected a whole number'],
  [{ environment: { WHET_BATCH_IMAGES: '' } }, 'WHET_BATCH_IMAGES: expected a whole number from 1'],
  [{ environment: { WHET_AUTH: 'maybe' } }, 'WHET_AUTH: '],
  [{ file: file({ adaptQueue: 1.5 }) }, 'whet.json: adaptQueue: expected a whole number'],
  [{ file: file({ adaptqueue: 1 }) }, /whet\.json: expected settings of .*, got "adaptqueue"/],
  [{ file: file([]) }, 'expected an object of settings'],
  [{ file: { path: 'whet.json', text: '{' } }, 'whet.json: expected JSON, got '],
])('refuses %j, naming where it stands', (sources, message) => {
  expect(() => readConfig(sources)).toThrow(ConfigError);
  expect(() => readConfig(sources)).toThrow(message);
});

test('keeps profiles in the home folder where the environment names no other', () => {
  const before = process.env['XDG_DATA_HOME'];
  try {
    process.env['XDG_DATA_HOME'] = '';
    expect(readConfig({}).store).toBe(join(homedir(), '.local', 'share', 'whet', 'profiles'));
    process.env['XDG_DATA_HOME'] = '/data';
    expect(readConfig({}).store).toBe(join('/data', 'whet', 'profiles'));
  } finally {
    if (before === undefined) delete process.env['XDG_DATA_HOME'];
    else process.env['XDG_DATA_HOME'] = before;
  }
});

test('knows the variables that are no settings', () => {
  const environment = { WHET_CONFIG: 'x', WHET_FUZZ: '5', WHET_THREADS: '3', XWHET_PORT: 'x' };
  expect(readConfig({ environment }).threads).toBe(3);
});

test('shows no passwords', () => {
  for (const store of [
    'postgres://whet:secret@db/whet',
    'Postgres://whet:secret@db/whet',
    'postgres://db/whet?password=secret',
    'postgres://u:secret@[bad',
  ]) {
    expect(JSON.stringify(maskConfig(readConfig({ flags: { store } })))).not.toContain('secret');
  }
  expect(maskConfig(readConfig({ flags: { store: '/var/lib/whet' } })).store).toBe('/var/lib/whet');
});
