import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pageDirectory } from '@whet/page';
import type { Example } from '@whet/runtime';
import { WhetClient } from '@whet/runtime/client';
import { decodeImage } from '@whet/runtime/images';
import { charactersDirectory, type DemoImage, loadDemoImages } from '@whet/tools/demo/demo-images';
import { chromiumPath, openBrowser, skipReason, type TestBrowser } from '@whet/tools/page/browser';
import { best, PageDriver } from '@whet/tools/page/driver';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { violationsOf } from './axe.js';

const CLASSES = ['plus', 'question-mark', 'percent', 'dollar', 'equals'] as const;
const SIXTH = 'euro';
const SHOTS = 5;
/** Other pictures of each class, to predict. */
const QUERIES = 5;

describe.skipIf(!chromiumPath)(`the page in Chromium${skipReason}`, () => {
  let server: PageServer;
  let browser: TestBrowser;
  let driver: PageDriver;
  let folder: string;
  let demo: ReadonlyMap<string, readonly DemoImage[]>;
  const shown = (label: string) => (demo.get(label) as readonly DemoImage[]).slice(0, SHOTS);
  const held = (label: string) => (demo.get(label) as readonly DemoImage[]).slice(SHOTS, SHOTS + QUERIES);
  const tensor = ({ bytes }: DemoImage) => decodeImage(bytes, server.bundle.manifest.preprocessing);
  const examplesOf = async (labels: readonly string[]): Promise<Example[]> => {
    const images = labels.flatMap((label) => shown(label).map((image) => ({ label, image })));
    return Promise.all(images.map(async ({ label, image }) => ({ label, image: await tensor(image) })));
  };

  /** What the server was asked for since; Chromium looks for a newer service worker when it likes, also where it plays being offline. */
  const asked = (since: number) => server.requests.slice(since).filter(({ url }) => url !== '/sw.js');

  beforeAll(async () => {
    demo = await loadDemoImages(charactersDirectory);
    folder = join(await mkdtemp(join(tmpdir(), 'whet-page-')), 'classes');
    for (const label of CLASSES) {
      await mkdir(join(folder, label), { recursive: true });
      for (const image of shown(label)) await cp(image.file, join(folder, label, basename(image.file)));
    }
    server = await startPageServer();
    browser = await openBrowser();
    driver = new PageDriver(browser.context.pages()[0] ?? (await browser.context.newPage()));
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    if (folder) await rm(join(folder, '..'), { recursive: true, force: true });
  });

  it('adapts to 5 classes as Node.js does: the same probabilities and accuracy on other pictures', async () => {
    await driver.open(server.url);
    expect(await driver.page.evaluate(() => crossOriginIsolated)).toBe(true);
    await driver.addFolder(folder, CLASSES.length * SHOTS);
    expect(await driver.learned()).toMatch(/^Learned from 25 pictures in [\d.]+ s$/);
    const { profile } = await server.bundle.adapt(await examplesOf(CLASSES));
    let [inPage, inNode, count, difference] = [0, 0, 0, 0];
    for (const label of CLASSES) {
      for (const image of held(label)) {
        const probabilities = await driver.predict(image.file);
        const [expected] = await server.bundle.predict(profile, [await tensor(image)]);
        if (!expected) throw new Error('expected a prediction');
        for (const [name, value] of Object.entries(expected.probabilities)) {
          difference = Math.max(difference, Math.abs(value - (probabilities[name] ?? Number.NaN)));
        }
        inPage += Number(best(probabilities) === label);
        inNode += Number(expected.label === label);
        count++;
      }
    }
    expect(difference).toBeLessThan(1e-3);
    expect(inPage / count).toBeGreaterThanOrEqual(inNode / count - 0.01);
    expect(inNode / count).toBeGreaterThan(0.9);
  });

  it('says how often it is right about pictures that were held back, and for engineers the loss from zero, times and what moving everything takes', async () => {
    const quality = driver.page.getByRole('region', { name: 'How good is it?' });
    await quality.getByText('25 of 25').waitFor();
    expect(await quality.innerText()).toContain('right when asked about pictures it had not seen');
    expect(await quality.innerText()).toContain('It tells all of them apart.');
    await driver.openEngineers();
    await driver.button('Measure moving everything').click();
    await driver.page.getByText(/over moving everything/).waitFor({ timeout: 60_000 });
    const figures = driver.page.locator('.figures');
    expect(await figures.innerText()).toMatch(/Adapted in\s+[\d.]+ ms[\s\S]*Speed-up\s+[\d.]+×[\s\S]*Kept\s+3\.0 kB/);
    const chart = driver.page.getByRole('img', { name: /^Loss of the examples/ });
    const said = await chart.getAttribute('aria-label');
    const [first, last] = [...(said ?? '').matchAll(/([\d.]+(?:[eE].\d+)?) before/g)].map(([, value]) =>
      Number(value),
    ) as [number, number];
    expect(last).toBeLessThan(first);
    // Losses of a good start hardly fall, and are drawn so: the line stays in the upper tenth.
    await chart.locator('canvas').waitFor();
    const rows = await chart.locator('canvas').evaluate((canvas: HTMLCanvasElement) => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
      if (!copy) throw new Error('expected a canvas');
      copy.drawImage(canvas, 0, 0);
      const { data, width, height } = copy.getImageData(0, 0, canvas.width, canvas.height);
      const drawn: number[] = [];
      for (let y = 0; y < height; y++) {
        for (let x = Math.floor(width / 4); x < width; x++) {
          const [red = 0, green = 0, blue = 0, alpha = 0] = data.subarray((y * width + x) * 4, (y * width + x) * 4 + 4);
          if (alpha > 200 && green > red + 60 && green > blue) drawn.push(y / height);
        }
      }
      return [Math.min(...drawn), Math.max(...drawn)];
    });
    expect((rows[1] as number) - (rows[0] as number)).toBeLessThan(0.2);
  });

  it('exports a profile that the runtime in Node.js and the service take, with the same predictions, and imports it again', async () => {
    const bytes = await driver.save();
    const profile = server.bundle.profileFromBytes(bytes);
    expect(profile.classes).toEqual(
      [...CLASSES].sort((a, b) => profile.classes.indexOf(a) - profile.classes.indexOf(b)),
    );
    const image = held('dollar')[0] as DemoImage;
    const [expected] = await server.bundle.predict(profile, [await tensor(image)]);

    // Another server than the page's, whose log shows that the page sends nothing.
    const service = await startPageServer();
    try {
      const client = new WhetClient(service.url);
      const { profile: id } = await client.importProfile(bytes);
      const { predictions } = await client.predict({ profile: id }, [image.bytes]);
      expect(predictions[0]?.label).toBe(expected?.label);
      for (const [name, value] of Object.entries(expected?.probabilities ?? {})) {
        expect(Math.abs(value - (predictions[0]?.probabilities[name] ?? Number.NaN))).toBeLessThan(1e-4);
      }
    } finally {
      await service.close();
    }

    await driver.openFile('from elsewhere.whet-profile', bytes);
    await driver.page.getByText('Opened “from elsewhere”: it knows 5 things.').waitFor();
    const probabilities = await driver.predict(image.file);
    for (const [name, value] of Object.entries(expected?.probabilities ?? {})) {
      expect(Math.abs(value - (probabilities[name] ?? Number.NaN))).toBeLessThan(1e-3);
    }
    // Its examples are on another device: learning would lose what it knows.
    await driver.page
      .getByText(/^It learned .* on another device\./)
      .first()
      .waitFor();
    expect(await driver.button('Adapt again').isDisabled()).toBe(true);
    await driver.delete();
  });

  it('adds a sixth class without starting over', async () => {
    await driver.addThing(
      SIXTH,
      shown(SIXTH).map(({ file }) => file),
    );
    expect(await driver.learned()).toContain('Learned from 30 pictures');
    // What was computed of the first five is used again.
    expect(await driver.page.locator('.figures').innerText()).toMatch(
      /to encode 5 examples.*; 25 examples were encoded before/,
    );
    const { profile } = await server.bundle.adapt(await examplesOf([...CLASSES, SIXTH]));
    let right = 0;
    for (const label of [SIXTH, 'plus', 'equals']) {
      for (const image of held(label).slice(0, 3)) {
        const probabilities = await driver.predict(image.file);
        const [expected] = await server.bundle.predict(profile, [await tensor(image)]);
        expect(Object.keys(probabilities)).toHaveLength(6);
        expect(Math.abs((probabilities[label] ?? 0) - (expected?.probabilities[label] ?? 1))).toBeLessThan(1e-3);
        right += Number(best(probabilities) === label);
      }
    }
    expect(right).toBeGreaterThanOrEqual(8);
  });

  it('ends what it learns where that is not wanted any more, and leaves the profile as it was', async () => {
    const before = await driver.save();
    await driver.pattern('full');
    await driver.page.getByText(/^Step [1-9]/).waitFor();
    await driver.pattern('head');
    await driver.learned();
    expect(await driver.save()).toEqual(before);
    // A worker that did not stop in time was replaced: the page goes on all the same.
    await driver.adapt();
    expect(best(await driver.predict((held('percent')[0] as DemoImage).file))).toBe('percent');
  });

  it('compares patterns on examples that are held back', async () => {
    await driver.openEngineers();
    await driver.page.getByText('Compare patterns').click();
    for (const name of ['full', 'from-block2', 'from-block3', 'sparse', 'head-views']) {
      await driver.page.getByRole('checkbox', { name, exact: true }).uncheck();
    }
    await driver.button('Compare').click();
    await driver.page.getByText('Compared 2 patterns on 30 examples.').waitFor({ timeout: 60_000 });
    const rows = await driver.page.locator('tr[data-pattern]').allInnerTexts();
    expect(rows).toHaveLength(2);
    for (const row of rows) expect(row).toMatch(/(head|from-block4)\s+\d+ of 30 \(\d+ %\)\s+[\d.,]+ ms\s+[\d.]+ kB/);
  });

  it('keeps the profile over a reload, also without a network', async () => {
    const image = (held('question-mark')[0] as DemoImage).file;
    const before = await driver.predict(image);
    // It was opened once, before there was a service worker.
    await driver.page.getByText('it works without a network').waitFor();
    const reached = server.requests.length;
    await browser.context.setOffline(true);
    await driver.page.reload();
    await driver.ready();
    expect(await driver.page.evaluate(() => crossOriginIsolated)).toBe(true);
    expect(await driver.predict(image)).toEqual(before);
    await driver.adapt();
    expect(best(await driver.predict(image))).toBe('question-mark');
    await browser.context.setOffline(false);
    expect(asked(reached)).toEqual([]);
  });

  it('sent no picture: only files were asked for, and nothing else can be', async () => {
    expect(server.requests.length).toBeGreaterThan(10);
    const name = server.bundle.manifest.name;
    const known = [
      /^\/$/,
      /^\/sw\.js$/,
      /^\/manifest\.webmanifest$/,
      /^\/assets\/[\w.-]+$/,
      /^\/bundles\/index\.json$/,
      new RegExp(`^/bundles/${name}/manifest\\.json$`),
      new RegExp(`^/bundles/${name}/[\\w.-]+\\?sha256=[0-9a-f]{64}$`),
    ];
    for (const { method, url, bytes } of server.requests) {
      expect({ method, bytes, url: known.some((pattern) => pattern.test(url)) ? 'known' : url }).toEqual({
        method: 'GET',
        bytes: 0,
        url: 'known',
      });
    }
    const before = server.requests.length;
    const tryToSend = async (): Promise<string[]> => {
      const body = new Uint8Array(784);
      const ways: Record<string, () => Promise<unknown>> = {
        fetch: () => fetch('./leak', { method: 'POST', body }),
        socket: () =>
          new Promise((resolve, reject) => {
            const socket = new WebSocket(`ws://${location.host}/leak`);
            socket.onopen = resolve;
            socket.onerror = reject;
          }),
      };
      if (typeof document !== 'undefined') {
        ways['image'] = () =>
          new Promise((resolve, reject) => {
            const image = new Image();
            image.onload = resolve;
            image.onerror = reject;
            image.src = './leak.png';
          });
        ways['webrtc'] = async () => new RTCPeerConnection();
        ways['beacon'] = async () => {
          // It returns true where it was queued; the policy drops it all the same, which the server's log shows.
          navigator.sendBeacon('./leak', body);
          throw new Error('queued at most');
        };
      }
      const sent: string[] = [];
      for (const [way, send] of Object.entries(ways)) {
        await send().then(
          () => sent.push(way),
          () => {},
        );
      }
      return sent;
    };
    const workers = driver.page.workers();
    const compute = workers.find((worker) => /compute-/.test(worker.url()));
    if (!compute) throw new Error('expected the worker that computes');
    const problems = browser.problems.length;
    expect(await driver.page.evaluate(tryToSend)).toEqual([]);
    expect(await compute.evaluate(tryToSend)).toEqual([]);
    await driver.page.waitForTimeout(300);
    expect(asked(before)).toEqual([]);
    // The browser reports what it refused; this was asked for.
    browser.problems.length = problems;
  });

  it('says every control’s name, in both colour schemes and on a narrow phone, and has no errors in the console', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      // Without motion, or the colours of the last scheme would still fade while they are looked at.
      await driver.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      for (const tab of ['Draw', 'Camera', 'Picture'] as const) {
        await driver.source(tab);
        expect(await violationsOf(driver.page), `${colorScheme}, ${tab}`).toEqual([]);
      }
    }
    for (const width of [360, 1280]) {
      await driver.page.setViewportSize({ width, height: 800 });
      expect(await driver.page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    }
    const client = await browser.context.newCDPSession(driver.page);
    const { installabilityErrors } = (await client.send('Page.getInstallabilityErrors')) as {
      installabilityErrors: { errorId: string }[];
    };
    expect(installabilityErrors.filter(({ errorId }) => errorId !== 'in-incognito')).toEqual([]);
    expect(browser.problems).toEqual([]);
  });

  it('is drawn on with a pointer and with the keyboard', async () => {
    await driver.source('Draw');
    const pad = driver.page.getByRole('application', { name: /^Drawing pad/ });
    await driver.line([
      [0.2, 0.5],
      [0.8, 0.5],
    ]);
    await driver.line([
      [0.5, 0.2],
      [0.5, 0.8],
    ]);
    await driver.page.locator('.verdict', { hasText: 'plus' }).waitFor();
    await driver.button('Clear').click();
    await pad.focus();
    const press = async (key: string, times: number) => {
      for (let i = 0; i < times; i++) await driver.page.keyboard.press(key);
    };
    await press('ArrowLeft', 8);
    await press('ArrowUp', 3);
    await press('Space', 1);
    await press('ArrowRight', 16);
    await press('Space', 1);
    await press('ArrowDown', 6);
    await press('Space', 1);
    await press('ArrowLeft', 16);
    await press('Space', 1);
    await driver.page.locator('.verdict', { hasText: 'equals' }).waitFor();
  });

  it('was built into the folder that the server serves', () => {
    expect(pageDirectory).toMatch(/dist\/page\/?$/);
  });
});
