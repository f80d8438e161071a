import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Bundles the script of the page that `whet freeze --html` writes, with onnxruntime-web's script in it, unless nothing changed since.
const root = fileURLToPath(new URL('.', import.meta.url));
const out = join(root, 'dist/html-script.js');

const timeOf = async (file) => (await stat(file).catch(() => ({ mtimeMs: 0 }))).mtimeMs;
const compiled = (await readdir(join(root, 'dist'), { recursive: true })).filter((file) => file.endsWith('.js'));
const inputs = [...compiled.map((file) => join(root, 'dist', file)), join(root, '../package-lock.json')];
const times = await Promise.all(inputs.filter((file) => file !== out).map(timeOf));
if (Math.max(...times) > (await timeOf(out))) {
  const { build } = await import('vite');
  const { output } = await build({
    root,
    configFile: false,
    logLevel: 'warn',
    plugins: [
      {
        name: 'whet-no-address',
        enforce: 'pre',
        // Its WebAssembly stands in the page, and is no file beside it.
        transform: (code, id) =>
          id.includes('onnxruntime-web') ? code.replaceAll('import.meta.url', 'document.baseURI') : undefined,
      },
    ],
    build: {
      write: false,
      target: 'es2022',
      modulePreload: false,
      rollupOptions: {
        input: join(root, 'dist/web/html-script.js'),
        output: { format: 'iife', codeSplitting: false },
        // What its import helper would ask for stands in the script itself.
        checks: { bundlerTimings: false, emptyImportMeta: false },
      },
    },
  });
  if (output.length !== 1) throw new Error(`html-script.js: expected one file, got ${output.length}`);
  const { inlined } = await import('./dist/inlined.js');
  await writeFile(out, inlined(output[0].code));
}
