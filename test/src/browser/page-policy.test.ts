import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { headersOf } from '@whet/page';
import { chromiumPath, openBrowser, skipReason, type TestBrowser, type TestContext } from '@whet/tools/page/browser';
import { PageDriver } from '@whet/tools/page/driver';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import type { Worker as BrowserWorker, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { whatCame } from './what-came.js';

/** What helmet, and any other host, might send: it lets the workers that see pictures connect, and WebAssembly not run. */
const OTHER = "default-src 'self'";
const POLICY = 'content-security-policy';
const policyOf = (url: string) => headersOf(new URL(url).pathname)['Content-Security-Policy'];

describe.skipIf(!chromiumPath)(`the policy of a page that was visited before${skipReason}`, () => {
  let directory: string;
  let server: PageServer;
  let program: TestBrowser;
  let browser: TestContext;
  /** Answers that came with another policy, and how many came at all. */
  let wrong: string[];
  let count: number;

  beforeAll(async () => {
    directory = await partOfBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), ['head']);
    server = await startPageServer(undefined, undefined, new Map([['part', directory]]));
    program = await openBrowser({ compileOnce: true });
  });
  afterAll(async () => {
    await program?.close();
    await server?.close();
    await rm(directory, { recursive: true, force: true });
  });
  beforeEach(() => {
    [wrong, count] = [[], 0];
  });

  const open = async (serviceWorkers: 'allow' | 'block') => {
    // One at a time.
    await browser?.context.close();
    browser = await program.another({ serviceWorkers });
    browser.context.on('response', (response) => {
      const url = response.url();
      if (!url.startsWith(server.url)) return;
      count++;
      const got = response.headers()[POLICY];
      if (got !== policyOf(url)) wrong.push(`${response.status()} ${url}: ${got}`);
    });
    return browser.context.newPage();
  };
  const workers = (page: Page) =>
    Promise.all(
      ['compute', 'loader'].map(async (name) => {
        const all = () => page.workers().filter((worker) => worker.url().includes(`/${name}-`));
        await expect.poll(() => all().length).toBeGreaterThan(0);
        return all()[0] as ReturnType<typeof all>[number];
      }),
    );
  const canConnect = () =>
    fetch(`${location.origin}/bundles/index.json`).then(
      () => true,
      () => false,
    );
  /** What the browser enforces: what sees pictures may connect to nowhere, also not to its own host; and the page works. */
  const expectEnforced = async (page: Page, isOnline = true) => {
    await new PageDriver(page).ready();
    const [compute, loader] = await workers(page);
    expect(await page.evaluate(canConnect)).toBe(false);
    expect(await compute?.evaluate(canConnect)).toBe(false);
    if (isOnline) expect(await loader?.evaluate(canConnect)).toBe(true);
    expect(wrong).toEqual([]);
  };
  const controlled = (page: Page) => page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  /** Policies of all that caches hold, by address. */
  const kept = (page: Page) =>
    page.evaluate(async (header) => {
      const found: [string, string | null][] = [];
      for (const name of await caches.keys()) {
        const cache = await caches.open(name);
        for (const request of await cache.keys()) {
          found.push([request.url, (await cache.match(request))?.headers.get(header) ?? null]);
        }
      }
      return found;
    }, POLICY);
  const wrongKept = async (page: Page) => (await kept(page)).filter(([url, policy]) => policy !== policyOf(url));

  it("is the page's own on each of three visits without a service worker, from the browser's cache too", async () => {
    const page = await open('block');
    await page.goto(server.url);
    await expectEnforced(page);
    const first = count;
    expect(first).toBeGreaterThan(5);
    await page.reload();
    await expectEnforced(page);
    const again = await browser.context.newPage();
    await again.goto(server.url);
    await expectEnforced(again);
    expect(count).toBeGreaterThan(2 * first);
    // Of a 304 the browser takes the headers over.
    const answer = await again.reload({ waitUntil: 'commit' });
    expect(answer?.headers()[POLICY]).toBe(policyOf(server.url));
  });

  it("is the page's own with a service worker, online and offline, and heals what an older visit kept", async () => {
    const page = await open('allow');
    await page.goto(server.url);
    await expectEnforced(page);
    await controlled(page);
    await page.reload();
    await expectEnforced(page);
    // The page says when all is kept.
    await expect.poll(async () => (await kept(page)).some(([url]) => url.includes('manifest.json'))).toBe(true);
    await expect.poll(() => wrongKept(page)).toEqual([]);

    // As an older version kept it.
    const planted = await page.evaluate(
      async ([header, other]) => {
        let count = 0;
        for (const name of await caches.keys()) {
          const cache = await caches.open(name);
          for (const request of await cache.keys()) {
            const response = (await cache.match(request)) as Response;
            const headers = new Headers(response.headers);
            headers.set(header, other);
            await cache.put(request, new Response(response.body, { headers }));
            count++;
          }
        }
        return count;
      },
      [POLICY, OTHER] as const,
    );
    expect(planted).toBeGreaterThan(8);
    expect((await wrongKept(page)).length).toBe(planted);
    await browser.context.setOffline(true);
    await page.reload();
    await expectEnforced(page, false);
    await browser.context.setOffline(false);
    await page.reload();
    await expectEnforced(page);
    await expect.poll(() => wrongKept(page)).toEqual([]);
    await browser.context.setOffline(true);
    const last = await browser.context.newPage();
    await last.goto(server.url);
    await expectEnforced(last, false);
  });

  it('lets nothing leave as an address: the loader and the service worker ask for what their lists have', async () => {
    // The browser of the visits above.
    await browser.context.setOffline(false);
    const page = browser.context.pages()[0] as Page;
    await page.reload();
    await expectEnforced(page);
    const [, loader] = await workers(page);
    const seen = server.requests.length;
    const base = server.url;
    const asset =
      server.requests.map(({ url }) => url.slice(1)).find((url) => /^assets\/ort-[^/]*\.wasm$/.test(url)) ?? '';
    const secret = 'c2VjcmV0';
    const addresses = [
      `${base}${secret}`,
      `${base}assets/${secret}`,
      `${base}${asset}?${secret}`,
      `${base}${asset}?`,
      `${base}${asset}#${secret}`,
      `${base}${asset}/${secret}`,
      `${base}assets/${secret}/../${asset.slice(7)}`,
      `${base.replace('//', `//${secret}@`)}${asset}`,
      `${base}bundles/${secret}/manifest.json`,
      `${base}bundles/part/${secret}`,
      `${base}bundles/part/manifest.json?${secret}`,
      `${base}bundles/part/manifest.json?sha256=${'ab'.repeat(32)}`,
      `${base}bundles/part/head.step.onnx?sha256=${'ab'.repeat(32)}`,
      `${base}bundles/index.json?${secret}`,
      `${base}models?${secret}`,
      `${base}?${secret}`,
      `${base}sw.js?${secret}`,
    ];
    /** Calls the loader's worker as the worker that computes does; what it answers, or its refusal. */
    const call = (name: string, ...values: unknown[]) =>
      page.evaluate(
        async ({ script, name, values }) => {
          const all = globalThis as { worker?: Worker };
          all.worker ??= new Worker(script, { type: 'module' });
          const { worker } = all;
          const id = Math.random().toString();
          return new Promise<string>((resolve) => {
            const listen = ({ data }: MessageEvent) => {
              if (data.id !== id) return;
              worker.removeEventListener('message', listen);
              if (data.name === 'throw') resolve(data.value.value.message);
              else resolve(`${data.value?.byteLength ?? JSON.stringify(data.value)}`);
            };
            worker.addEventListener('message', listen);
            const argumentList = values.map((value) => ({ type: 'RAW', value }));
            worker.postMessage({ id, type: 'APPLY', path: [name], argumentList });
          });
        },
        { script: loader?.url() as string, name, values },
      );
    for (const address of addresses)
      expect(await call('readAsset', address)).toMatch(/^expected a file of this page, got /);
    // Before its manifest was read, a bundle has no files.
    expect(await call('readBundleFile', 'part', 'head.step.onnx')).toMatch(
      /^expected a file that the manifest of part has/,
    );
    expect(Number(await call('readBundleFile', 'part', 'manifest.json'))).toBeGreaterThan(1000);
    expect(Number(await call('readBundleFile', 'part', 'head.step.onnx'))).toBeGreaterThan(100);
    expect(Number(await call('readAsset', base + asset))).toBeGreaterThan(1e6);
    for (const path of [
      secret,
      `manifest.json?${secret}`,
      `manifest.json#${secret}`,
      `../part/${secret}`,
      `./${secret}`,
      '',
    ]) {
      expect(await call('readBundleFile', 'part', path)).toMatch(
        /^expected a file that the manifest of part has, got /,
      );
    }
    for (const name of [secret, `part/${secret}`, `part?${secret}`, `part#${secret}`, '..', '']) {
      expect(await call('readBundleFile', name, 'manifest.json')).toMatch(
        /^expected a bundle that the host lists, got /,
      );
    }

    const keep = (urls: readonly string[]) =>
      page.evaluate((urls) => {
        const { port1, port2 } = new MessageChannel();
        navigator.serviceWorker.controller?.postMessage({ kind: 'keep', urls }, [port2]);
        return new Promise((resolve) => {
          port1.onmessage = ({ data }) => resolve(data);
        });
      }, urls);
    for (const address of addresses) expect(await keep([address]), address).toBe(false);
    expect(await keep([`${base}${asset}`, `${base}bundles/index.json`, `${base}bundles/part/manifest.json`])).toBe(
      true,
    );
    const asked = server.requests.slice(seen).map(({ url }) => url);
    expect(asked.filter((url) => url.includes(secret) || url.includes('abab'))).toEqual([]);
  });

  it('lets nothing leave as the address of a script, a worker or a link, nor with what the host is asked for', async () => {
    const page = browser.context.pages()[0] as Page;
    await page.reload();
    await expectEnforced(page);
    const [compute, loader] = await workers(page);
    const seen = server.requests.length;
    const base = server.url;
    const secret = 'c2VjcmV0';
    const [script] = /[^/]*$/.exec(String(loader?.url())) ?? [];
    const digest = '5ec'.repeat(22).slice(0, 64);
    const addresses = [
      `${base}${secret}`,
      `${base}${secret}?data=${secret}`,
      `${base}?${secret}`,
      `${base}docs?${secret}`,
      `${base}health?${secret}`,
      `${base}sw.js?${secret}`,
      `${base}files.json?${secret}`,
      `${base}manifest.webmanifest?${secret}`,
      `${base}assets/${secret}.js`,
      `${base}assets/${script}?${secret}`,
      `${base}assets/${script}/${secret}`,
      `${base}bundles/${secret}/manifest.json`,
      `${base}bundles/index.json?${secret}`,
      `${base}bundles/part/${secret}?sha256=${digest}`,
      `${base}bundles/part/manifest.json?sha256=${digest}`,
      `${base}bundles/part/head.step.onnx?sha256=${digest}`,
    ];
    expect(await whatCame(page, addresses)).toEqual([]);
    expect(await whatCame(compute as BrowserWorker, addresses)).toEqual([]);

    // What a script keeps as a bundle's manifest, or calls itself, makes no address one of the page's.
    await page.evaluate(
      async ([digest, secret]) => {
        const files = { [secret as string]: { sha256: digest } };
        for (const name of await caches.keys()) {
          const cache = await caches.open(name);
          await cache.put('bundles/part/manifest.json', new Response(JSON.stringify({ files })));
        }
        history.replaceState(null, '', `docs?${secret}`);
        document.head.append(
          Object.assign(document.createElement('link'), {
            rel: 'manifest',
            href: '/manifest.webmanifest',
            referrerPolicy: 'unsafe-url',
          }),
        );
      },
      [digest, secret],
    );
    await page.evaluate((secret) => void Reflect.set(document, 'cookie', `a=${secret}`), secret);
    const gone = ['SharedWorker', 'cookieStore', 'RTCPeerConnection'];
    expect(await page.evaluate((names) => names.filter((name) => Reflect.get(globalThis, name)), gone)).toEqual([]);
    expect(await page.evaluate(() => typeof navigator.serviceWorker.register)).toBe('undefined');
    expect(await whatCame(page, addresses)).toEqual([]);
    const told: (string | undefined)[] = [];
    server.meddle = ({ url, headers: { referer, cookie } }) => {
      // A browser looks for a newer service worker when it likes, and says that worker's address.
      const isOwn = url === '/sw.js' && referer === `${base}sw.js`;
      told.push(isOwn ? undefined : referer, cookie);
      return false;
    };
    for (const part of [page, compute as BrowserWorker]) await whatCame(part, [`${base}manifest.webmanifest`]);
    expect(told.length).toBeGreaterThan(0);
    expect(told.filter(Boolean)).toEqual([]);
    const asked = server.requests.slice(seen).map(({ url }) => url);
    expect(asked.filter((url) => url.includes(secret) || url.includes(digest))).toEqual([]);
    expect(asked.length).toBeGreaterThan(0);
  });

  it('lets a newer page have its files, and other documents of the same host what they ask for', async () => {
    const page = browser.context.pages()[0] as Page;
    await page.goto(server.url);
    await expectEnforced(page);
    const newer = 'assets/newer-Abc_1-2.js';
    const answers = new Map([
      ['/files.json', JSON.stringify([newer])],
      [`/${newer}`, 'export default 1;'],
      ['/elsewhere', '<!doctype html><title>elsewhere</title><script type="module" src="/other.js?v=1"></script>'],
      ['/other.js?v=1', 'document.title = await (await fetch("/health")).text()'],
    ]);
    server.meddle = ({ url = '' }, response) => {
      const body = answers.get(url);
      if (body === undefined) return false;
      const type = url.includes('.js?') || url.endsWith('.js') ? 'text/javascript' : 'text/html';
      response.writeHead(200, { 'Content-Type': type }).end(body);
      return true;
    };
    expect(await whatCame(page, [server.url + newer])).toEqual([server.url + newer]);
    const other = await browser.context.newPage();
    await other.goto(`${server.url}elsewhere`);
    expect(await other.evaluate(() => navigator.serviceWorker.controller !== null)).toBe(true);
    await expect.poll(() => other.title()).toContain('ok');
    await other.goto(`${server.url}docs`);
    await other.locator('summary').first().waitFor();
    await other.close();
    server.meddle = () => false;
  });
});
