import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { headersOf, pageDirectory } from '@whet/page';
import { readBundle } from '@whet/runtime/node';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { writeBundle } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let server: PageServer;
beforeAll(async () => {
  server = await startPageServer();
});
afterAll(() => server.close());

const assets = readdirSync(`${pageDirectory}/assets`).filter((name) => !name.endsWith('.gz'));
const bundle = `bundles/${OMNIGLOT_BUNDLE}`;
const paths = ['', 'index.html', 'sw.js', ...assets.map((name) => `assets/${name}`), `${bundle}/manifest.json`];

describe("the page's headers", () => {
  // A browser puts the headers of a 304 in place of those that it has kept with the file.
  it.each(paths)('are those of /%s, on the first visit and where it has not changed since', async (path) => {
    const first = await fetch(server.url + path);
    expect(first.status).toBe(200);
    const etag = first.headers.get('etag') as string;
    const again = await fetch(server.url + path, { headers: { 'If-None-Match': etag } });
    expect(again.status).toBe(304);
    for (const [name, value] of Object.entries(headersOf(path))) {
      expect(first.headers.get(name), name).toBe(value);
      expect(again.headers.get(name), name).toBe(value);
    }
    expect(again.headers.get('cache-control')).toBe(first.headers.get('cache-control'));
  });

  it('are those of a bundle in one file too, whose files are served as those of a folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'whet-page-'));
    const place = join(folder, 'one.whet');
    const { manifest, contents } = await readBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE));
    await writeBundle(place, contents);
    const one = await startPageServer(undefined, undefined, new Map([['one', place]]));
    const get = (path: string) => fetch(`${one.url}bundles/one/${path}`);
    for (const path of ['manifest.json', manifest.weights]) {
      const response = await get(path);
      expect(response.status).toBe(200);
      for (const [name, value] of Object.entries(headersOf('bundles/'))) expect(response.headers.get(name)).toBe(value);
      const got = Buffer.from(await response.arrayBuffer());
      expect(got.equals(contents.get(path) as Uint8Array), path).toBe(true);
    }
    expect((await get('other.onnx')).status).toBe(404);
    // Replaced while the server runs.
    await writeBundle(place, new Map(contents).set('other.onnx', Uint8Array.of(1)));
    expect((await get('other.onnx')).status).toBe(200);
    await one.close();
    await rm(folder, { recursive: true });
  });

  it("are not those of the service's own answers", async () => {
    const { headers } = await fetch(`${server.url}models`);
    const missing = await fetch(`${server.url}nothing-there`);
    expect(headers.get('content-security-policy')).not.toContain('wasm-unsafe-eval');
    expect(missing.headers.get('content-security-policy')).toBe(headers.get('content-security-policy'));
    expect(missing.headers.get('cross-origin-embedder-policy')).toBe(headers.get('cross-origin-embedder-policy'));
  });
});
