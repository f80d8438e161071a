import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundlesDirectory, OMNIGLOT_BUNDLE, PHOTOS_BUNDLE } from '@whet/models';
import sharp from 'sharp';
import { loadDemoImages, thingsDirectory } from '../demo/demo-images.js';
import { openBrowser } from './browser.js';
import { PageDriver } from './driver.js';
import { cameraArguments, waitForScene, writeScenes } from './fake-camera.js';
import { startPageServer } from './page-server.js';

/** The first bytes of a picture of a kind that Chromium does not read. */
const HEIC = '\0\0\0\x18ftypheic\0\0\0\0mif1heic';

// Draws the pictures of docs/page.md: npm run docs:screenshots
const directory = fileURLToPath(new URL('../../../docs/page/', import.meta.url));
await mkdir(directory, { recursive: true });
const demo = await loadDemoImages(thingsDirectory);
const folder = await mkdtemp(join(tmpdir(), 'whet-screenshots-'));
const file = join(folder, 'scenes.mjpeg');
const names = ['Pear', 'Scissors', 'Keyboard'];
const scenes = [...names, 'Crown'].map((name) =>
  (demo.get(name.toLowerCase()) ?? []).slice(0, 12).map((one) => one.bytes),
);
await writeScenes(file, scenes);
const place = (name: string) => [name, join(bundlesDirectory, name)] as const;
const pages = new Map([place(PHOTOS_BUNDLE), place(OMNIGLOT_BUNDLE)]);
const server = await startPageServer(join(bundlesDirectory, OMNIGLOT_BUNDLE), undefined, pages);
const browser = await openBrowser({ arguments: cameraArguments(file) });
const { page } = new PageDriver(browser.context.pages()[0] ?? (await browser.context.newPage()));
const driver = new PageDriver(page);

/** Takes a picture in both schemes on a phone and on a desktop: of what is seen, or of all that there is; on a phone on its side too where it is seen. */
async function shoot(name: string, isWhole = false): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [size, width, height] of [
      ['desktop', 1280, 800],
      ['phone', 390, 844],
      ...(isWhole ? [] : ([['side', 844, 390]] as const)),
    ] as const) {
      await page.setViewportSize({ width, height });
      await page.evaluate(() => scrollTo(0, 0));
      if (isWhole) {
        const whole = await page.evaluate(() => document.documentElement.scrollHeight);
        await page.setViewportSize({ width, height: whole });
      }
      await page.waitForTimeout(400);
      const image = await page.screenshot();
      await sharp(image).png({ palette: true, colours: 128 }).toFile(`${directory}${name}-${size}-${colorScheme}.png`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}

await driver.open(server.url);
await shoot('first');
await driver.button('Start the camera').click();
await page.locator('.frame.on').waitFor();
await driver.button('Add a thing').click();
for (const i of names.keys()) {
  await driver.button(`Hold to record Thing ${i + 1}`).hover();
  await waitForScene(page, i);
  await page.mouse.down();
  await page.waitForTimeout(1800);
  await page.mouse.up();
}
for (const [i, name] of names.entries()) await driver.name(`Thing ${i + 1}`, name);
await driver.adaptedBy('auto');
await page.locator('.notice').waitFor({ state: 'detached' });
await waitForScene(page, 1);
await page.waitForTimeout(1200);
// The camera stands still, so that all pictures show the same.
await page.evaluate(() => document.querySelector('video')?.pause());
await page.waitForTimeout(600);
await shoot('taught');
await driver.openEngineers();
await shoot('all', true);
await driver.button('Share a link').click();
await page.locator('dialog[open] input').waitFor();
await shoot('share');
await driver.answer('Done');
await driver.button('As a web page').click();
await page.locator('dialog[open]').getByText(/MB/).waitFor();
await shoot('web-page');
await driver.answer('Not now');
await page.locator('.thumb').first().click();
await shoot('selection');
await driver.button('Done').click();
// What cannot be read, and what is drawn.
await driver.source('Picture');
const broken = { name: 'holiday.heic', mimeType: 'image/heic', buffer: Buffer.from(HEIC, 'latin1') };
await page.getByLabel('Picture to ask about').setInputFiles(broken);
await page.locator('.notice.problem').waitFor();
await shoot('problem');
await driver.button('Close this message').click();
await driver.model('Drawings');
await page.getByRole('application', { name: /^Drawing pad/ }).waitFor();
await driver.ready();
await driver.demo();
await driver.learned();
await driver.line([
  [0.5, 0.15],
  [0.5, 0.85],
]);
await driver.line([
  [0.15, 0.5],
  [0.85, 0.5],
]);
await page.locator('.prediction').waitFor();
await page.locator('.notice').waitFor({ state: 'detached' });
await shoot('drawn');
await page.getByLabel('Language').selectOption('de');
await page.getByText('Deine Dinge').waitFor();
await shoot('german');
await browser.close();
await server.close();
await rm(folder, { recursive: true });
