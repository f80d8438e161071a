import { rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE, PHOTOS_BUNDLE } from '@whet/models';
import { type DemoImage, loadDemoImages, thingsDirectory } from '@whet/tools/demo/demo-images';
import { chromiumPath, openBrowser, skipReason, type TestBrowser } from '@whet/tools/page/browser';
import { PageDriver } from '@whet/tools/page/driver';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { violationsOf } from './axe.js';

const PHONE = { width: 390, height: 844 };

// What axe-core says of a first visit's three sources, of languages and of mobile data stands in the tests of those.
describe.skipIf(!chromiumPath)(`every state of the page${skipReason}`, () => {
  let folder: string;
  let server: PageServer;
  let browser: TestBrowser;
  let driver: PageDriver;
  let page: Page;

  beforeAll(async () => {
    folder = await partOfBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), ['head', 'from-block4']);
    const photos = join(bundlesDirectory, PHOTOS_BUNDLE);
    server = await startPageServer(
      folder,
      undefined,
      new Map([
        ['drawn', folder],
        [PHOTOS_BUNDLE, photos],
      ]),
    );
    browser = await openBrowser({
      compileOnce: true,
      arguments: ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
      context: { viewport: PHONE, reducedMotion: 'reduce' },
    });
    page = await browser.context.newPage();
    driver = new PageDriver(page);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    if (folder) await rm(folder, { recursive: true });
  });

  /** axe-core finds nothing in both schemes, and nothing is wider than the window. */
  const look = async (state: string, at = page, leftOut: readonly string[] = []) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await at.emulateMedia({ colorScheme });
      // Colours of the last scheme fade.
      await at.waitForFunction(() => !document.getAnimations().some((one) => one instanceof CSSTransition));
      expect.soft(await violationsOf(at, leftOut), `${state}, ${colorScheme}`).toEqual([]);
    }
    const [inner, whole] = await at.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
    expect.soft(whole, `${state}: its width`).toBeLessThanOrEqual(inner as number);
  };

  it('while it gets ready, and where it cannot', async () => {
    const silent: ServerResponse[] = [];
    server.meddle = ({ url }, response) => Boolean(url?.includes('weights')) && silent.push(response) > 0;
    await page.goto(server.url);
    await page.getByRole('heading', { name: 'Getting ready' }).waitFor();
    await expect.poll(() => silent.length).toBeGreaterThan(0);
    await look('getting ready');
    for (const response of silent) response.writeHead(404).end();
    await page.getByRole('heading', { name: 'could not be loaded' }).waitFor();
    await look('failed');
    server.meddle = () => false;
    await driver.button('Fetch it again').click();
    await driver.ready();
    // The browser tells of the 404 itself.
    browser.problems.length = 0;
  });

  it('with a camera, and without', async () => {
    await driver.source('Camera');
    await driver.button('Start the camera').click();
    await page.locator('.frame.on').waitFor();
    await look('camera');
    await driver.button('Stop the camera').click();
    await page.evaluate(() => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'));
    });
    await driver.button('Start the camera').click();
    await page.getByText('The camera was not allowed.').waitFor();
    await look('camera denied');
  });

  it('taught: with an answer, pictures that are chosen, messages, an offer to install', async () => {
    await driver.demo();
    await driver.learned();
    await look('added');
    await driver.source('Draw');
    await driver.line([
      [0.2, 0.5],
      [0.8, 0.5],
    ]);
    await page.locator('.prediction').waitFor();
    // That the camera saw colours is not said of a drawing.
    expect(await page.getByText('This looks like a photograph.').count()).toBe(0);
    await look('an answer');
    for (const i of [0, 1]) await page.locator('.thumb').nth(i).click();
    await page.getByText('2 pictures chosen').waitFor();
    await look('pictures chosen');
    await driver.button('Done').click();
    await driver.button('Add “none of these”').click();
    await driver.openFile('letter.txt', Buffer.from('Dear'));
    await page.locator('.notice.problem').waitFor();
    await page.evaluate(() => dispatchEvent(Object.assign(new Event('beforeinstallprompt'), { prompt: () => {} })));
    await driver.button('Not now').waitFor();
    await look('a problem, none of these, install');
    await driver.button('Not now').click();
    await driver.button('Close this message').click();
  });

  it('in its menu and each dialog', async () => {
    await page.getByLabel('More about this project').click();
    await look('menu');
    await page.getByLabel('More about this project').click();
    for (const item of ['New project', 'Rename', 'Delete']) {
      await driver.menu(item);
      await page.locator('dialog[open]').waitFor();
      await look(item);
      await driver.answer('Keep as it is');
    }
    await driver.button('Share a link').click();
    await page.getByText('It is too long for a QR code.').waitFor();
    await look('share');
    await driver.answer('Done');
  });

  it('for engineers, with a comparison', async () => {
    await driver.pattern('auto');
    await driver.adaptedBy('auto');
    await page.locator('.tried summary').click();
    await page.getByText('Compare patterns').click();
    await driver.button('Compare').click();
    await page.getByText('Compared 2 patterns on 25 examples.').waitFor();
    await look('engineers');
  });

  it('shown a photograph, over a page that keeps nothing', async () => {
    const photograph = (await loadDemoImages(thingsDirectory)).get('sunflower')?.[0] as DemoImage;
    await driver.source('Picture');
    await page.getByLabel('Picture to ask about').setInputFiles(photograph.file);
    await page.getByText('This looks like a photograph.').waitFor();
    await look('a photograph');
    const { context } = await browser.another({ viewport: PHONE, reducedMotion: 'reduce' });
    await context.addInitScript(() => {
      Object.defineProperty(globalThis, 'indexedDB', { value: undefined });
    });
    const other = new PageDriver(await context.newPage());
    await other.open(server.url);
    await other.page.getByText('Nothing is kept after this page is closed').waitFor();
    await look('nothing kept', other.page);
    await context.close();
  });

  it('from right to left, magnified, and in forced colours', async () => {
    await page.evaluate(() => {
      document.documentElement.dir = 'rtl';
    });
    await look('right to left');
    // 1280 x 800 at 200 % and at 400 %.
    for (const [width, height] of [
      [640, 400],
      [320, 256],
    ] as const) {
      await page.setViewportSize({ width, height });
      await look(`${width} pixels`);
    }
    await page.evaluate(() => {
      document.documentElement.dir = 'ltr';
    });
    await look('320 pixels, left to right');
    await page.emulateMedia({ forcedColors: 'active' });
    // The browser gives the colours, and axe-core takes the text's from `-webkit-text-fill-color`, which is the page's.
    await look('forced colours', page, ['color-contrast']);
    expect(browser.problems).toEqual([]);
  });
});
