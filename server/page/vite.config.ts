import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';
import { BUILT_FILES } from './src/shared/bundle-list.js';
import { META_POLICY } from './src/shared/headers.js';

const demoImages = fileURLToPath(new URL('../../models/demo', import.meta.url));
const DEMO_CLASSES = {
  characters: ['plus', 'question-mark', 'percent', 'dollar', 'equals'],
  things: ['pear', 'scissors', 'sunflower', 'keyboard', 'crown'],
};
const DEMO_SHOTS = 5;

/** A few characters and things to start with, as base64 of image files by class. */
function demo(): Plugin {
  return {
    name: 'whet-demo',
    resolveId: (id) => (id === 'virtual:demo-url' ? '\0demo-url' : undefined),
    load(id) {
      if (id !== '\0demo-url') return undefined;
      const read = (folder: string) => {
        // Files of all styles in turn, as their names begin with the style.
        const names = readdirSync(folder);
        const every = Math.floor(names.length / DEMO_SHOTS);
        return Array.from({ length: DEMO_SHOTS }, (_, i) =>
          readFileSync(`${folder}/${names[i * every]}`).toString('base64'),
        );
      };
      const kinds = Object.entries(DEMO_CLASSES).map(([kind, labels]) => [
        kind,
        Object.fromEntries(labels.map((label) => [label, read(`${demoImages}/${kind}/${label}`)])),
      ]);
      const source = JSON.stringify(Object.fromEntries(kinds));
      const reference = this.emitFile({ type: 'asset', name: 'demo.json', source });
      return `export default import.meta.ROLLUP_FILE_URL_${reference};`;
    },
  };
}

/** The web app's manifest. Its icons stand inside it, as the policy lets the page load no image from an address. */
function manifest(): string {
  const read = (name: string) => readFileSync(new URL(`src/icons/${name}`, import.meta.url));
  const { icons, ...rest } = JSON.parse(read('manifest.json').toString()) as { icons: { src: string }[] };
  const inlined = icons.map((icon) => ({ ...icon, src: `data:image/png;base64,${read(icon.src).toString('base64')}` }));
  return JSON.stringify({ ...rest, icons: inlined });
}

/** The policy in the page's own text, and in the service worker the files that it keeps. */
function policyAndFiles(): Plugin {
  return {
    name: 'whet-page',
    enforce: 'post',
    transformIndexHtml: () => [
      { tag: 'link', attrs: { rel: 'manifest', href: './manifest.webmanifest' }, injectTo: 'head' },
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: META_POLICY },
        injectTo: 'head-prepend',
      },
    ],
    generateBundle(_, bundle) {
      // WebGPU's binary is fetched where it is used: most devices never do.
      const built = Object.keys(bundle).filter((name) => name !== 'sw.js' && !name.endsWith('.map'));
      const [files, later] = [false, true].map((late) =>
        built.filter((name) => name.includes('asyncify') === late),
      ) as [string[], string[]];
      this.emitFile({ type: 'asset', fileName: 'manifest.webmanifest', source: manifest() });
      const all = ['./', ...files.filter((name) => name !== 'index.html'), 'manifest.webmanifest'];
      this.emitFile({ type: 'asset', fileName: BUILT_FILES, source: JSON.stringify([...all, ...later]) });
      const html = bundle['index.html'];
      if (html?.type !== 'asset') throw new Error('index.html: expected it in the build');
      const hash = createHash('sha256').update(JSON.stringify(all)).update(String(html.source)).update(manifest());
      const list = JSON.stringify({ version: hash.digest('hex').slice(0, 12), files: all, later });
      const worker = bundle['sw.js'];
      if (worker?.type !== 'chunk' || !worker.code.includes('__FILES__'))
        throw new Error('sw.js: expected __FILES__ in it');
      worker.code = `const __FILES__ = ${list};\n${worker.code}`;
    },
  };
}

export default defineConfig({
  base: './',
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser', 'production'] },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  plugins: [demo(), policyAndFiles()],
  build: {
    outDir: 'dist/page',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: {
      checks: { bundlerTimings: false },
      input: { index: 'index.html', sw: 'src/workers/sw.ts' },
      output: { entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js') },
    },
  },
  worker: {
    format: 'es',
    plugins: () => [demo()],
    rollupOptions: { output: { entryFileNames: 'assets/[name]-[hash].js' } },
  },
});
