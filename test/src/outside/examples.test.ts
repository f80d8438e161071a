import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { charactersDirectory, loadDemoImages } from '@whet/tools/demo/demo-images';
import { chromiumPath, openBrowser, skipReason } from '@whet/tools/page/browser';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const examples = fileURLToPath(new URL('../../../examples/', import.meta.url));
const bundle = join(bundlesDirectory, OMNIGLOT_BUNDLE);
const CLASSES = ['plus', 'percent', 'dollar'];
let directory: string;

/** Demo images of some classes in folders; returns their files. */
async function copyImages(into: string, from: number, to: number): Promise<string[]> {
  const demo = await loadDemoImages(charactersDirectory);
  const files: string[] = [];
  for (const label of CLASSES) {
    await mkdir(join(into, label), { recursive: true });
    for (const { file: own } of (demo.get(label) ?? []).slice(from, to)) {
      const file = join(into, label, basename(own));
      await cp(own, file);
      files.push(file);
    }
  }
  return files;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'whet-examples-'));
});
afterAll(() => rm(directory, { recursive: true }));

describe('examples/onnxruntime-alone', () => {
  it('adapts and predicts without any code of Whet', async () => {
    const script = join(examples, 'onnxruntime-alone/run.mjs');
    expect(await readFile(script, 'utf8')).not.toMatch(/@whet|\.\.\/\.\./);
    const [support, query] = [join(directory, 'support'), join(directory, 'query')];
    await copyImages(support, 0, 3);
    const queries = await copyImages(query, 3, 9);
    const { stdout } = await promisify(execFile)(process.execPath, [script, bundle, support, query]);
    const lines = stdout.trim().split('\n');
    expect(lines).toHaveLength(queries.length);
    expect(lines.filter((line) => /: (\S+) \(\1\)$/.test(line)).length / lines.length).toBeGreaterThan(0.9);
  });
});

describe.skipIf(!chromiumPath)(`examples/bundler-app${skipReason}`, () => {
  let server: Server;
  afterAll(() => server?.close());

  it('is built by Vite and adapts in Chromium', async () => {
    const outDir = join(directory, 'app');
    const root = join(examples, 'bundler-app');
    await build({
      root,
      configFile: join(root, 'vite.config.js'),
      logLevel: 'silent',
      build: { outDir, target: 'es2022' },
    });
    await cp(bundle, join(outDir, 'bundle'), { recursive: true });
    const types = { html: 'text/html', js: 'text/javascript', mjs: 'text/javascript', wasm: 'application/wasm' };
    server = createServer(async (request, response) => {
      const path = new URL(request.url ?? '', 'http://localhost').pathname.replace(/\/$/, '/index.html');
      const bytes = await readFile(join(outDir, path)).catch(() => undefined);
      const type = types[path.split('.').at(-1) as keyof typeof types] ?? 'application/octet-stream';
      response.writeHead(bytes ? 200 : 404, { 'Content-Type': type }).end(bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const files = await copyImages(join(directory, 'app-images'), 0, 4);
    const of = (label: string) => files.filter((file) => file.includes(`/${label}/`));
    const browser = await openBrowser();
    const page = await browser.context.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const says = (text: string | RegExp) => page.locator('#answer', { hasText: text }).waitFor({ timeout: 60_000 });
    await says('ready');
    await page.locator('#first').setInputFiles(of('plus').slice(0, 3));
    await page.locator('#second').setInputFiles(of('dollar').slice(0, 3));
    await says(/^adapted in [\d.]+ ms$/);
    await page.locator('#query').setInputFiles(of('dollar')[3] as string);
    await says(/^second, [\d.]+ %$/);
    await browser.close();
  });
});
