import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { headersOf, pageDirectory } from '@whet/page';
import { chromiumPath, openBrowser, skipReason } from '@whet/tools/page/browser';
import { PageDriver } from '@whet/tools/page/driver';
import { build, type Rollup } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const require = createRequire(import.meta.url);
const run = promisify(execFile);
/** Compressed bytes that the runtime's web entry may have, without onnxruntime. */
const MOST = 30_000;

describe('@whet/runtime/web', () => {
  it('is smaller than 30 kB compressed where an app is built with it, as recorded in docs/page.md, and needs nothing of Node.js', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'whet-size-'));
    const entry = join(root, 'test/src/browser/web-entry.js');
    const { output } = (await build({
      root: directory,
      configFile: false,
      logLevel: 'silent',
      resolve: { conditions: ['@whet/source', 'module', 'browser', 'production'] },
      build: {
        write: false,
        target: 'es2022',
        modulePreload: false,
        rollupOptions: { input: entry, preserveEntrySignatures: 'strict', external: [/^onnxruntime-/] },
      },
    })) as Rollup.RollupOutput;
    await rm(directory, { recursive: true });
    const chunks = output.filter((file) => file.type === 'chunk');
    const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
    /** What a page loads before it asks for anything: the rest comes when it is needed. */
    const usual = new Set<string>();
    const add = (name: string) => {
      if (!byName.has(name) || usual.has(name)) return;
      usual.add(name);
      byName.get(name)?.imports.forEach(add);
    };
    for (const chunk of chunks) if (chunk.isEntry) add(chunk.fileName);
    const code = [...usual].map((name) => byName.get(name)?.code).join('\n');
    const rest = chunks.filter(({ fileName }) => !usual.has(fileName)).map(({ name }) => name);
    expect(rest.sort()).toEqual([
      'archive',
      'auto',
      'choose',
      'familiar',
      'freeze',
      'profile-store',
      'reasons',
      'remember',
      'sha256',
      'upright-webp',
      'views',
      'webgpu',
    ]);
    const imports = new Set(chunks.flatMap((chunk) => [...chunk.imports, ...chunk.dynamicImports]));
    for (const chunk of chunks) imports.delete(chunk.fileName);
    expect([...imports].sort()).toEqual(['onnxruntime-common', 'onnxruntime-web/wasm', 'onnxruntime-web/webgpu']);
    expect(code).not.toMatch(/["']node:|require\(|express|sharp/);
    const size = gzipSync(code, { level: 9 }).length;
    expect(size).toBeLessThan(MOST);
    const recorded = /`@whet\/runtime\/web`[^\n]*?([\d.]+) kB/.exec(await readFile(join(root, 'docs/page.md'), 'utf8'));
    expect(
      Math.abs(size / 1000 - Number(recorded?.[1])),
      `docs/page.md should say ${(size / 1000).toFixed(1)} kB`,
    ).toBeLessThan(0.5);
  });

  it('compiles with the types of browsers alone', async () => {
    const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
    await run(process.execPath, [compiler, '--singleThreaded', '-p', join(root, 'runtime/tsconfig.web.json')]);
  });
});

describe('the page as static files', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'whet-static-'));
    const main = fileURLToPath(import.meta.resolve('whet/main'));
    await run(process.execPath, [main, 'page', '--out', directory, join(bundlesDirectory, OMNIGLOT_BUNDLE)]);
  });
  afterAll(() => rm(directory, { recursive: true }));

  it('has the page, the bundle and its list, with relative addresses only', async () => {
    expect(JSON.parse(await readFile(join(directory, 'bundles/index.json'), 'utf8'))).toEqual({
      bundles: [OMNIGLOT_BUNDLE],
    });
    await stat(join(directory, 'bundles', OMNIGLOT_BUNDLE, 'head.encode.onnx'));
    const html = (await readFile(join(directory, 'index.html'), 'utf8')).replaceAll('&#39;', "'");
    expect(html).toMatch(/<meta http-equiv="Content-Security-Policy" content="[^"]*connect-src 'none'"/);
    expect(html).not.toMatch(/(src|href)="\/|https?:\/\/(?!www\.w3\.org)/);
    expect(await readdir(join(directory, 'assets'))).not.toContainEqual(expect.stringMatching(/\.gz$/));
  });

  it('states the headers: connections for the loader and the service worker only', async () => {
    const rules = (await readFile(join(directory, '_headers'), 'utf8')).split(/\n(?=\/)/);
    const policies = rules.map((rule) => [rule.split('\n')[0], /connect-src '(\w+)'/.exec(rule)?.[1]]);
    expect(policies).toEqual([
      ['/*', 'none'],
      ['/sw.js', 'self'],
      [expect.stringMatching(/^\/assets\/loader-.*\.js$/), 'self'],
    ]);
    for (const file of await readdir(join(pageDirectory, 'assets'))) {
      if (file.endsWith('.gz')) continue;
      const expected = file.startsWith('loader-') ? "connect-src 'self'" : "connect-src 'none'";
      expect(headersOf(`/assets/${file}`)['Content-Security-Policy']).toContain(expected);
    }
  });

  it('has scripts of a size that is recorded in docs/page.md', async () => {
    const docs = await readFile(join(root, 'docs/page.md'), 'utf8');
    const files = await readdir(join(directory, 'assets'));
    const codeOf = (file: string) => readFile(join(directory, 'assets', file), 'utf8');
    /** Scripts that are loaded with others, by what these import. */
    const withImports = async (found: readonly string[]): Promise<readonly string[]> => {
      const codes = await Promise.all(found.map(codeOf));
      const all = new Set([
        ...found,
        ...codes.flatMap((code) => [...code.matchAll(/from"\.\/([^"]+)"/g)].map(([, to]) => to as string)),
      ]);
      return all.size === found.length ? found : withImports([...all]);
    };
    let sum = 0;
    for (const name of ['index', 'compute', 'loader']) {
      const own = files.filter((file) => file.startsWith(`${name}-`) && file.endsWith('.js'));
      const loaded = await withImports(own);
      const sizes = await Promise.all(
        loaded.map(async (file) => gzipSync(await codeOf(file), { level: 6 }).length / 1000),
      );
      const size = sizes.reduce((total, one) => total + one, 0);
      sum += size;
      const recorded = new RegExp(`\\| \`${name}\`[^\\n]*?\\| ([\\d.]+) kB`).exec(docs)?.[1];
      expect(Math.abs(size - Number(recorded)), `docs/page.md: \`${name}\` is ${size.toFixed(1)} kB`).toBeLessThan(1);
    }
    // What a first visit fetches and runs, onnxruntime's own script included.
    expect(sum).toBeLessThan(120);
  });

  it.skipIf(!chromiumPath)(
    `is isolated from the second visit on, on a host that sends no headers${skipReason}`,
    async () => {
      const types = {
        html: 'text/html',
        js: 'text/javascript',
        mjs: 'text/javascript',
        css: 'text/css',
        wasm: 'application/wasm',
      };
      const server = createServer(async (request, response) => {
        // In a folder of the host, as of a project's page.
        const path = new URL(request.url ?? '', 'http://localhost').pathname
          .replace(/^\/folder\//, '/')
          .replace(/\/$/, '/index.html');
        const bytes = await readFile(join(directory, path)).catch(() => undefined);
        const type = types[path.split('.').at(-1) as keyof typeof types] ?? 'application/octet-stream';
        response.writeHead(bytes ? 200 : 404, { 'Content-Type': type }).end(bytes);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const browser = await openBrowser({ compileOnce: true });
      const driver = new PageDriver(browser.context.pages()[0] ?? (await browser.context.newPage()));
      await driver.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}/folder/`);
      const isolated = () => driver.page.evaluate(() => crossOriginIsolated);
      const fetches = () =>
        driver.page.evaluate(() =>
          fetch('./').then(
            () => true,
            () => false,
          ),
        );
      expect([await isolated(), await fetches()]).toEqual([false, false]);
      await driver.page.evaluate(() => navigator.serviceWorker.ready);
      await driver.page.waitForFunction(() => navigator.serviceWorker.controller !== null);
      await driver.page.reload();
      await driver.ready();
      expect([await isolated(), await fetches()]).toEqual([true, false]);
      const compute = driver.page.workers().find((worker) => /compute-/.test(worker.url()));
      expect(
        await compute?.evaluate(() =>
          fetch('./').then(
            () => true,
            () => false,
          ),
        ),
      ).toBe(false);
      await driver.demo();
      expect(await driver.learned()).toContain('Learned from 25 pictures');
      await browser.close();
      server.closeAllConnections();
      server.close();
    },
  );
});
