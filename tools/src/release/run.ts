import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bytes, formatTable } from 'whet';
import { type Packed, packAll } from './pack-all.js';
import { published } from './published.js';
import { withRelease, withVersion } from './versions.js';

// npm run release -- VERSION: gives all packages the version, and CHANGELOG.md; to be looked at and committed.
// npm run release -- --dry-run: packs what would be published into build/release, and says what stands in the way.
// npm run release -- --publish: publishes it, each package after those that it needs, and tags the commit.

const root = fileURLToPath(new URL('../../..', import.meta.url));
const out = join(root, 'build/release');

/** A version that is published already, as where a release broke off. */
const THERE = 'there';

interface Package {
  readonly name: string;
  readonly version: string;
  readonly repository?: { readonly url: string };
  readonly workspaces?: readonly string[];
}
const packageAt = (folder: string): Package =>
  JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Package;
const npm = (...args: string[]) => execFileSync('npm', args, { cwd: root, encoding: 'utf8', maxBuffer: 16 << 20 });
const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();

function setVersion(version: string): void {
  const { workspaces = [] } = packageAt('.');
  const folders = ['.', ...workspaces];
  const names = new Set(folders.map((folder) => packageAt(folder).name));
  const changelog = join(root, 'CHANGELOG.md');
  const text = withRelease(readFileSync(changelog, 'utf8'), version, new Date().toISOString().slice(0, 10));
  for (const folder of folders) {
    const file = join(root, folder, 'package.json');
    writeFileSync(file, withVersion(readFileSync(file, 'utf8'), version, names));
  }
  writeFileSync(changelog, text);
  npm('install', '--package-lock-only', '--ignore-scripts', '--no-audit', '--no-fund');
}

/** What the registry says of a package: nothing of a new one, `there` of this version, or why it cannot be published. */
function registered({ name, version, repository }: Package): string {
  const { status, stdout, stderr } = spawnSync('npm', ['view', name, '--json', 'repository.url', 'versions'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status !== 0) return stderr.includes('E404') || stdout.includes('E404') ? '' : 'the registry does not answer';
  const found = JSON.parse(stdout) as { 'repository.url'?: string; versions?: string | string[] };
  if (found['repository.url'] !== repository?.url) return `the name belongs to ${found['repository.url'] ?? 'another'}`;
  return [found.versions].flat().includes(version) ? THERE : '';
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'dry-run': { type: 'boolean' }, publish: { type: 'boolean' } },
});
const [version] = positionals;
if (version !== undefined) setVersion(version);
if (values['dry-run'] || values.publish) {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const packed = await packAll(out);
  const rows = published.map((folder) => {
    const known = packageAt(folder);
    const one = packed.get(known.name) as Packed;
    const why = registered(known);
    return {
      file: one.filename,
      why,
      cells: [known.name, known.version, `${one.files.length}`, bytes(one.size), bytes(one.unpackedSize), why],
    };
  });
  process.stdout.write(
    `${formatTable(
      ['package', 'version', 'files', 'packed', 'unpacked', 'registry'],
      rows.map(({ cells }) => cells),
    )}\n${out}\n`,
  );
  const obstacles = [
    ...rows.filter(({ why }) => why !== '' && why !== THERE).map(({ cells }) => `${cells[0]}: ${cells.at(-1)}`),
    ...(git('status', '--porcelain') === '' ? [] : ['there are changes that are not committed']),
  ];
  if (values.publish) {
    if (obstacles.length > 0) throw new Error(`nothing was published: ${obstacles.join('; ')}`);
    const { version: released } = packageAt('.');
    const tag = released.includes('-') ? 'next' : 'latest';
    for (const { file } of rows.filter(({ why }) => why !== THERE)) {
      npm('publish', join(out, file), '--access', 'public', '--tag', tag);
    }
    git('tag', `v${released}`);
  } else if (obstacles.length > 0) {
    process.stdout.write(`in the way of --publish: ${obstacles.join('; ')}\n`);
  }
}
