import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import { defaultTimeouts } from './guard/timeouts.js';
import { defaultLimits } from './limits.js';
import { maskAddress } from './stores/address.js';
import { defaultWork } from './work/options.js';

/** A setting that cannot be used; the message names it and where it was given. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const toNumber = (value: unknown) => (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value);
const toList = (value: unknown) => (typeof value === 'string' ? value.split(',').filter((item) => item !== '') : value);

function whole(min: number, max = Number.MAX_SAFE_INTEGER) {
  const expected = `expected a whole number from ${min} to ${max}`;
  return z.preprocess(toNumber, z.int(expected).min(min, expected).max(max, expected));
}

const origins = 'expected origins as https://example.org, without a path';
const isOrigin = (text: string) => URL.canParse(text) && new URL(text).origin === text;

const isAddress = (text: string) => !/^[a-z][a-z\d+.-]*:\/\//i.test(text) || /^(postgres(ql)?|file):/i.test(text);
const address = 'expected a folder, postgres://... or memory:';

const DAY_MS = 86_400_000;
const dataFolder = () => process.env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share');

interface Setting<T extends z.ZodType = z.ZodType> {
  readonly schema: T;
  /** What a flag's value is called. */
  readonly value: string;
  readonly help: string;
}

/** Variables called `WHET_...` that are no settings of the service: of the command line, of studies and of tests. */
const OTHER_VARIABLES = [
  'WHET_CAMERA',
  'WHET_CONFIG',
  'WHET_CHROMIUM',
  'WHET_DATA',
  'WHET_DEBUG',
  'WHET_FUZZ',
  'WHET_ONNX_NODE_TESTS',
  'WHET_PACKAGES',
  'WHET_REFERENCE_DIR',
];

const setting = <T extends z.ZodType>(schema: T, value: string, help: string): Setting<T> => ({ schema, value, help });

/** All settings of the service: as `--kebab-case`, `WHET_SNAKE_CASE` and members of a file. */
export const settings = {
  host: setting(z.string().min(1).default('127.0.0.1'), 'address', 'address to listen on'),
  port: setting(whole(0, 65_535).default(8080), 'n', 'port to listen on; 0 takes a free one'),
  store: setting(
    z
      .string()
      .min(1)
      .refine(isAddress, address)
      .default(() => join(dataFolder(), 'whet', 'profiles')),
    'address',
    'where profiles are kept: a folder, postgres://..., or memory:',
  ),
  auth: setting(
    z.enum(['off', 'keys', 'auto']).default('auto'),
    'mode',
    'off, keys, or auto: keys behind a proxy and at every address that is not of this machine alone',
  ),
  rateLimit: setting(
    whole(0).default(0),
    'n',
    'requests a minute of each key, or of each address without keys; 0: no limit',
  ),
  corsOrigins: setting(
    z.preprocess(toList, z.array(z.string().refine(isOrigin, origins), origins)).default([]),
    'list',
    'origins whose pages may call, by commas',
  ),
  hostNames: setting(
    z.preprocess(toList, z.array(z.hostname('expected names as whet.example.org'))).default([]),
    'list',
    "names that requests may be for without keys, besides addresses and this machine's, by commas",
  ),
  proxies: setting(whole(0, 10).default(0), 'n', "proxies in front, whose word on a client's address counts"),
  threads: setting(
    whole(1, 256).default(() => availableParallelism()),
    'n',
    'threads inside an operator',
  ),
  adaptThreads: setting(whole(1, 64).default(defaultWork.adaptThreads), 'n', 'adaptations at the same time'),
  preload: setting(
    z.enum(['default', 'all']).default('default'),
    'what',
    'what is ready before the first request: default, which is what the first bundle takes where no pattern is named, or all',
  ),
  adaptNiceness: setting(
    whole(0, 19).default(10),
    'n',
    'how far adaptations give way to predictions and to whatever else runs, 0 to 19; on Linux',
  ),
  adaptQueue: setting(whole(0).default(defaultWork.adaptQueue), 'n', 'adaptations that wait at most'),
  adaptDeadlineMs: setting(
    whole(1).default(defaultWork.adaptDeadlineMs),
    'ms',
    'time of an adaptation at most, waiting included',
  ),
  predictDeadlineMs: setting(
    whole(1).default(defaultWork.predictDeadlineMs),
    'ms',
    'time of a prediction at most, decoding and waiting included',
  ),
  batchImages: setting(
    whole(1, 4096).default(defaultWork.batchImages),
    'n',
    'images predicted together at most; 1: no batching',
  ),
  batchWaitMs: setting(
    whole(0, 1000).default(defaultWork.batchWaitMs),
    'ms',
    'time that a prediction waits for others at most',
  ),
  predictQueue: setting(whole(1).default(defaultWork.predictQueue), 'n', 'images that wait to be predicted at most'),
  bodyBytes: setting(whole(1024).default(defaultLimits.bodyBytes), 'bytes', "a request's body at most"),
  heldBytes: setting(whole(1024).default(defaultLimits.heldBytes), 'bytes', "all requests' bodies at once at most"),
  imagePixels: setting(whole(1).default(defaultLimits.imagePixels), 'n', "an image's pixels at most"),
  requestPixels: setting(
    whole(1).default(defaultLimits.requestPixels),
    'n',
    "pixels of a request's images together at most",
  ),
  keyPixels: setting(
    whole(1).default(defaultLimits.keyPixels),
    'n',
    'pixels of images that each key, or address without keys, has decoded at once at most',
  ),
  headMs: setting(whole(100).default(defaultTimeouts.headMs), 'ms', "time that a request's head may take"),
  bodyMs: setting(whole(100).default(defaultTimeouts.bodyMs), 'ms', "time that a request's body may take"),
  idleMs: setting(whole(0).default(defaultTimeouts.idleMs), 'ms', 'time that a connection is kept without a request'),
  drainDelayMs: setting(
    whole(0).default(defaultTimeouts.drainDelayMs),
    'ms',
    'time not ready before it stops to listen',
  ),
  drainMs: setting(whole(0).default(defaultTimeouts.drainMs), 'ms', 'time that requests have to finish when it ends'),
  profileDays: setting(
    z.preprocess(toNumber, z.number('expected days').positive('expected days above 0')).optional(),
    'days',
    'time to live of a profile since its last change; for ever when absent',
  ),
  storeBytes: setting(
    whole(1).optional(),
    'bytes',
    'profiles of each key at most; over it, those unused for longest go; no limit when absent',
  ),
  logLevel: setting(
    z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
      .default(() => (process.stderr.isTTY ? 'warn' : 'info')),
    'level',
    'trace, debug, info, warn, error or silent; by lines of JSON on standard error',
  ),
} as const;

type Settings = typeof settings;
export type SettingName = keyof Settings;
export type Config = { readonly [N in SettingName]: z.output<Settings[N]['schema']> };

const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The flag of a setting, as in `--adapt-queue`. */
export const flagOf = (name: SettingName): string => `--${kebab(name)}`;

/** The environment variable of a setting, as in `WHET_ADAPT_QUEUE`. */
export const variableOf = (name: SettingName): string => `WHET_${kebab(name).replaceAll('-', '_').toUpperCase()}`;

export interface ConfigSources {
  /** By setting; the strongest. */
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** What a file holds, and its path. */
  readonly file?: { readonly path: string; readonly text: string };
}

/**
 * The settings from flags, else the environment, else a file of JSON, else their defaults. Throws {@link ConfigError} at the
 * first that does not fit.
 */
export function readConfig({ flags = {}, environment = {}, file }: ConfigSources): Config {
  checkVariables(environment);
  const inFile = file ? readFile(file) : {};
  const config: Record<string, unknown> = {};
  for (const name of Object.keys(settings) as SettingName[]) {
    const [value, where] =
      flags[name] !== undefined
        ? [flags[name], flagOf(name)]
        : environment[variableOf(name)] !== undefined
          ? [environment[variableOf(name)], variableOf(name)]
          : [inFile[name], `${file?.path}: ${name}`];
    const result = settings[name].schema.safeParse(value);
    if (!result.success) {
      // An address may hold a password.
      const got = name === 'store' ? 'another' : JSON.stringify(value);
      throw new ConfigError(`${where}: ${result.error.issues[0]?.message}, got ${got}`);
    }
    config[name] = result.data;
  }
  return config as Config;
}

/** A variable that is misspelt would be a limit or an access rule that is not there. */
function checkVariables(environment: NonNullable<ConfigSources['environment']>): void {
  const names = Object.keys(settings) as SettingName[];
  const known = new Set([...names.map(variableOf), ...OTHER_VARIABLES]);
  const unknown = Object.keys(environment).find((name) => name.startsWith('WHET_') && !known.has(name));
  if (unknown === undefined) return;
  throw new ConfigError(`${unknown}: expected ${[...known].join(', ')} of the variables called WHET_..., got another`);
}

function readFile({ path, text }: { readonly path: string; readonly text: string }): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ConfigError(`${path}: expected JSON, got ${(cause as Error).message}`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConfigError(`${path}: expected an object of settings, got ${JSON.stringify(value)?.slice(0, 60)}`);
  }
  const unknown = Object.keys(value).find((name) => !Object.hasOwn(settings, name));
  if (unknown === undefined) return value as Record<string, unknown>;
  throw new ConfigError(`${path}: expected settings of ${Object.keys(settings).join(', ')}, got "${unknown}"`);
}

/** The settings as they may be printed: without passwords. */
export function maskConfig(config: Config): Config {
  return { ...config, store: maskAddress(config.store) };
}

/** Milliseconds of the setting `profileDays`. */
export const ttlOf = ({ profileDays }: Config): number | undefined =>
  profileDays === undefined ? undefined : Math.round(profileDays * DAY_MS);
