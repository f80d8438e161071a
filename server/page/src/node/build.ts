import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

// Builds the page with Vite, unless nothing that goes into it changed since.
const root = fileURLToPath(new URL('../..', import.meta.url));
const output = join(root, 'dist/page');
const stampFile = join(root, 'dist/page.stamp');

const require = createRequire(import.meta.url);
const runtime = join(dirname(require.resolve('@whet/runtime')), '..');

async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function stampOf(): Promise<string> {
  const hash = createHash('sha256');
  const own = [filesIn(join(root, 'src'))];
  const inputs = [...(await Promise.all([...own, filesIn(join(runtime, 'src'))])).flat()].sort();
  const settings = [
    'index.html',
    'vite.config.ts',
    'package.json',
    '../../package-lock.json',
    '../../runtime/build-script.js',
  ];
  for (const file of [...inputs, ...settings.map((name) => join(root, name))]) {
    hash.update(file.slice(root.length)).update(await readFile(file));
  }
  return hash.digest('hex');
}

// Whoever starts this may say otherwise, as a test run does; Vite would build another page.
process.env['NODE_ENV'] = 'production';
const stamp = await stampOf();
const previous = await readFile(stampFile, 'utf8').catch(() => '');
if (previous !== stamp) {
  const { build } = await import('vite');
  await build({ root, logLevel: 'warn' });
  for (const file of await filesIn(output)) {
    const { size } = await stat(file);
    if (size < 2048 || /\.(png|gz)$/.test(file)) continue;
    await writeFile(`${file}.gz`, await promisify(gzip)(await readFile(file), { level: 9 }));
    // Forty megabytes that hardly any client asks for: whoever takes no gzip gets it unpacked.
    if (file.endsWith('.wasm')) await rm(file);
  }
  await writeFile(stampFile, stamp);
}
