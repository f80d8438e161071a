import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { defaultLimits } from '@whet/server';
import { openApiDocument } from '@whet/server/openapi';
import { repository } from '@whet/site/documents';
import { type Command, CommanderError } from 'commander';
import { parse } from 'shell-quote';
import { whetProgram } from 'whet';

const { scripts } = JSON.parse(readFileSync(`${repository}package.json`, 'utf8')) as {
  scripts: Record<string, string>;
};
const { paths } = openApiDocument({ limits: defaultLimits, version: '0.0.0', auth: 'keys' });

/** What the machine has, and not this repository: not run, but the files of the repository that they name are looked for. */
const OF_THE_MACHINE = new Set(
  [
    'apt-get',
    'cp',
    'createdb',
    'createuser',
    'docker',
    'echo',
    'install',
    'java',
    'mkdir',
    'mvn',
    'set',
    'systemctl',
  ].concat('.'),
);
/** Words of the shell that stand before a command. */
const BEFORE_COMMANDS = new Set(['do', 'then', 'done', 'fi', 'exec']);
const FOLDERS = /^\.?\/?(cli|compiler|deploy|docs|examples|models|runtime|server|site|test|tools|trainer)\/[^$*<>{}]*$/;

/** The commands of a block, each as its words; without comments and what takes their output. */
export function commandsOf(text: string): string[][] {
  const commands: string[][] = [];
  for (const line of text.replaceAll(/\\\n/g, ' ').split('\n')) {
    let words: string[] = [];
    let redirected = false;
    for (const part of parse(line, (name) => `$${name}`)) {
      if (typeof part === 'string' || ('op' in part && part.op === 'glob')) {
        const word = typeof part === 'string' ? part : (part as { pattern: string }).pattern;
        if (!redirected) words.push(word);
        redirected = false;
      } else if ('op' in part && /^>>?$/.test(part.op)) redirected = true;
      else if ('op' in part) {
        commands.push(words);
        words = [];
      }
    }
    commands.push(words);
  }
  return commands.map(bare).filter((words) => words.length > 0);
}

/** Without settings of the environment and words of the shell in front. */
function bare(words: readonly string[]): string[] {
  if (words[0] === 'for') return [];
  const first = words.findIndex((word) => !BEFORE_COMMANDS.has(word) && !/^[A-Z_]+=/.test(word));
  return first < 0 ? [] : words.slice(first);
}

/** All of a command and its parts. */
const withParts = (command: Command): Command[] => [command, ...command.commands.flatMap(withParts)];

/** What `whet` itself says of a call; undefined where it would run. */
async function whetFault(words: readonly string[]): Promise<string | undefined> {
  const program = await whetProgram('0.0.0');
  for (const command of withParts(program)) {
    if (command.commands.length === 0) command.action(() => {});
    command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
  }
  try {
    await program.parseAsync(words, { from: 'user' });
    return undefined;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? undefined : error.message;
    throw error;
  }
}

/** A call in prose, which may leave out arguments: whether the command and its flags are there. */
export async function whetNameFault(words: readonly string[]): Promise<string | undefined> {
  let command = await whetProgram('0.0.0');
  for (const word of words) {
    const part = command.commands.find((each) => each.name() === word);
    if (!part) break;
    command = part;
  }
  const [first] = words;
  if (command.parent === null && first !== undefined && /^[a-z]/.test(first)) return `unknown command '${first}'`;
  const flags = new Set(command.options.flatMap(({ long, short }) => [long, short]).concat('--help', '--version'));
  const unknown = words.find((word) => /^--?[a-z]/.test(word) && !flags.has(word));
  return unknown === undefined ? undefined : `${command.name()}: unknown option '${unknown}'`;
}

/** Flags of npm that documents name. */
const OF_NPM = ['--ignore-scripts'];

/** Long flags of all commands and of the scripts in `tools`. */
export async function knownFlags(): Promise<Set<string>> {
  const options = withParts(await whetProgram('0.0.0')).flatMap((command) => command.options);
  const ofTools = toolSources('').matchAll(/(?<=^|[\s{])'?([a-z-]+)'?: \{ type: '(?:string|boolean)'/gm);
  const others = [...ofTools].map(([, name]) => `--${name}`);
  return new Set([...options.flatMap(({ long }) => long ?? []), ...others, ...OF_NPM, '--help', '--version']);
}

/** The text of the sources of a folder in `tools`. */
const toolSources = (folder: string): string =>
  readdirSync(`${repository}tools/src/${folder}`, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(`${repository}tools/src/${folder}/${file}`, 'utf8'))
    .join('\n');

/** What is wrong with a script's call: the flags that its sources do not know. */
function scriptFault(name: string | undefined, words: readonly string[]): string | undefined {
  const script = name === undefined ? undefined : scripts[name];
  if (script === undefined) return `package.json has no script ${name}`;
  const folder = /tools\/dist\/(\w+)\//.exec(script)?.[1];
  const flags = words.filter((word) => word.startsWith('--')).map((word) => word.slice(2));
  if (folder === undefined || flags.length === 0) return undefined;
  const source = toolSources(folder);
  const unknown = flags.find((flag) => !new RegExp(`\\b${flag}['"]?: \\{ type: `).test(source));
  return unknown === undefined ? undefined : `${name}: unknown option --${unknown}`;
}

function npmFault(words: readonly string[]): string | Promise<string | undefined> | undefined {
  const rest = words.filter((word) => word !== '-s' && word !== '--silent');
  const [command, name] = rest;
  const given = rest.slice(rest.indexOf('--') + 1 || rest.length);
  if (command === 'run') return name === 'whet' ? whetFault(given) : scriptFault(name, given);
  if (command === 'test' || command === 'start') return scriptFault(command, given);
  return ['ci', 'install', 'pack'].includes(command ?? '') ? undefined : `nobody looks after npm ${command}`;
}

function curlFault(words: readonly string[]): string | undefined {
  const url = words.find((word) => word.startsWith('http'));
  if (url === undefined || !URL.canParse(url)) return 'expected an address';
  const { pathname } = new URL(url);
  const path = Object.keys(paths ?? {}).find((each) =>
    new RegExp(`^${each.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(pathname),
  );
  const sends = words.some((word) => /^(-F|-d|--data.*|--form.*)$/.test(word));
  const method = words[words.indexOf('-X') + 1 || words.length] ?? (sends ? 'POST' : 'GET');
  const known = path !== undefined && method.toLowerCase() in (paths?.[path] ?? {});
  return known ? undefined : `the OpenAPI document has no ${method} ${pathname}`;
}

/** What is wrong with a command of a document, as far as it can be told without running it. */
export async function commandFault(words: readonly string[]): Promise<string | undefined> {
  const absent = words.find((word) => FOLDERS.test(word) && !existsSync(repository + word));
  if (absent !== undefined) return `there is no ${absent}`;
  const [program = '', ...rest] = words;
  const whet = words.findIndex((word) => word.endsWith('cli/bin/whet.js'));
  if (whet >= 0) return whetFault(words.slice(whet + 1));
  if (program === 'whet') return whetFault(rest);
  if (program === 'npm') return npmFault(rest);
  if (program === 'curl') return curlFault(rest);
  if (program === 'npx')
    return existsSync(`${repository}node_modules/.bin/${rest[0]}`) ? undefined : `there is no ${rest[0]}`;
  if (/^(node|python3?)$/.test(program)) return existsSync(repository + rest[0]) ? undefined : `there is no ${rest[0]}`;
  return OF_THE_MACHINE.has(program) ? undefined : `nobody looks after ${program}`;
}
