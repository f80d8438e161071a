import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadOmniglot, packOmniglot } from '@whet/trainer';

/**
 * Packs a folder that trains on a GPU host without a network, without Node.js and without npm: Node's binary, the built
 * code with the packages it needs, the native libraries for linux-x64 and the decoded drawings. `./run` in it prints a
 * report.
 */
const { values: options } = parseArgs({
  options: {
    out: { type: 'string', default: 'build/whet-gpu' },
    data: { type: 'string' },
  },
});

const LIMIT_MB = 60;
const root = fileURLToPath(new URL('../../..', import.meta.url));
const out = resolve(options.out);

/** Loaded on demand, so that no package names them among its dependencies. */
const optional = ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-cpu', '@tensorflow/tfjs-backend-webgpu', 'webgpu'];
const roots = ['whet', '@whet/trainer', ...optional];
/** Whose settings the command line lists: without what it needs to serve. */
const alone = new Set(['@whet/server']);
/** The page, charts, the image decoder (drawings travel decoded), and what only runs in a browser. */
const left = new Set(['@whet/page', 'echarts', 'onnxruntime-web', '@webgpu/types', 'sharp']);

interface PackageJson {
  readonly name: string;
  readonly main?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const packageOf = (folder: string): PackageJson =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageJson;

/** The folder a package is found in from another, as Node.js looks for it; undefined where it is not installed. */
function find(name: string, from: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    const folder = join(at, 'node_modules', name);
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (at === dirname(at)) return undefined;
  }
}

const tfjs = /^@tensorflow\//;
const code = /\.(c|m)?js$|\.json$|\.node$|\.so(\.|$)|\.wasm$/;
const notCode = /\.test\.|\.min\.|\.map$|(^|\/)(test|tests|docs|example|examples)\//;

/** Which files of a package travel. */
function travels({ name, main }: PackageJson, path: string): boolean {
  if (path === 'package.json') return true;
  if (path.includes('node_modules/')) return false;
  if (tfjs.test(name)) return path === (main ?? '').replace(/^\.\//, '');
  if (name === 'onnxruntime-node' && path.startsWith('bin/')) return /^bin\/napi-v\d+\/linux\/x64\//.test(path);
  if (name === 'webgpu' && path.startsWith('dist/')) return path.startsWith('dist/linux-x64/');
  if (name.startsWith('@whet/') && path.startsWith('src/')) return false;
  if (name === '@whet/server' && path.startsWith('page/')) return false;
  return code.test(path) && !notCode.test(path);
}

function copyPackage(folder: string): void {
  const real = realpathSync(folder);
  const description = packageOf(real);
  const target = join(out, relative(root, folder));
  cpSync(real, target, {
    recursive: true,
    filter: (source) => {
      const path = relative(real, source);
      if (path === '') return true;
      if (statSync(source).isDirectory()) return basename(source) !== 'node_modules';
      return travels(description, path);
    },
  });
}

function copyPackages(): number {
  const done = new Set<string>();
  const queue = roots.map((name) => [name, root] as const);
  for (const [name, from] of queue) {
    if (left.has(name)) continue;
    const folder = find(name, from);
    if (!folder) {
      if (optional.includes(name)) process.stderr.write(`${name} is not installed and does not travel\n`);
      continue;
    }
    if (done.has(folder)) continue;
    done.add(folder);
    copyPackage(folder);
    if (alone.has(name)) continue;
    const { dependencies = {}, optionalDependencies = {} } = packageOf(folder);
    const within = realpathSync(folder).includes('node_modules') ? folder : realpathSync(folder);
    for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) queue.push([each, within]);
  }
  return done.size;
}

if (process.platform !== 'linux' || process.arch !== 'x64') {
  throw new Error(`expected linux-x64, whose libraries are packed; this is ${process.platform}-${process.arch}`);
}
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const packages = copyPackages();
cpSync(fileURLToPath(new URL('.', import.meta.url)), join(out, 'report'), {
  recursive: true,
  filter: (path) => !/\.test\.|\.map$|\.d\.ts$|pack\.js$/.test(path),
});
writeFileSync(join(out, 'package.json'), '{ "type": "module", "private": true }\n');
cpSync(process.execPath, join(out, 'node'));
// A WebGPU provider finds its driver through the Vulkan loader of the host.
writeFileSync(join(out, 'run'), '#!/bin/sh\ncd "$(dirname "$0")" && exec ./node report/run.js "$@"\n');
for (const program of ['node', 'run']) chmodSync(join(out, program), 0o755);
if (options.data) await packOmniglot(await loadOmniglot(options.data), join(out, 'data'));

const archive = `${out}.tar.xz`;
execFileSync('tar', ['-cJf', archive, '-C', dirname(out), basename(out)], {
  env: { ...process.env, XZ_OPT: '-3 -T2' },
});
const megabytes = statSync(archive).size / 2 ** 20;
process.stdout.write(
  `${archive}: ${megabytes.toFixed(1)} MB, ${packages} packages${options.data ? ' and Omniglot' : ''}\n`,
);
if (megabytes > LIMIT_MB) throw new Error(`expected at most ${LIMIT_MB} MB`);
