import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { openBrowser } from './browser.js';
import { PageDriver } from './driver.js';
import { startPageServer } from './page-server.js';

// Draws the pictures of docs/page.md: npm run docs:screenshots
const directory = fileURLToPath(new URL('../../../docs/page/', import.meta.url));
await mkdir(directory, { recursive: true });
const server = await startPageServer();
const browser = await openBrowser();
const driver = new PageDriver(browser.context.pages()[0] ?? (await browser.context.newPage()));
const { page } = driver;
await driver.open(server.url);
await driver.button('Start with 5 example characters').click();
await page.locator('.thumb').nth(24).waitFor();
// The first times still grow memory.
for (let i = 0; i < 4; i++) await driver.adapt();
await page.getByText(/over moving everything/).waitFor({ timeout: 120_000 });
const box = await page.getByRole('application', { name: /^Drawing pad/ }).boundingBox();
if (!box) throw new Error('expected a pad');
const draw = async (points: readonly (readonly [number, number])[]) => {
  for (const [i, [x, y]] of points.entries()) {
    await page.mouse.move(box.x + box.width * x, box.y + box.height * y, { steps: 4 });
    if (i === 0) await page.mouse.down();
  }
  await page.mouse.up();
};
const hook = Array.from({ length: 15 }, (_, i) => {
  const turn = -Math.PI + (i / 14) * 1.5 * Math.PI;
  return [0.5 + 0.14 * Math.cos(turn), 0.34 + 0.13 * Math.sin(turn)] as const;
});
await draw([...hook, [0.49, 0.55], [0.49, 0.64]]);
await draw([
  [0.49, 0.77],
  [0.492, 0.772],
]);
await page.locator('.verdict').waitFor();
await page.getByText('Compare patterns').click();
for (const name of ['full', 'from-block2', 'sparse']) {
  await page.getByRole('checkbox', { name, exact: true }).uncheck();
}
await driver.button('Compare').click();
await page.getByText('Compared 4 patterns').waitFor({ timeout: 180_000 });
await driver.button('Close this message').click();
for (const colorScheme of ['light', 'dark'] as const) {
  await page.emulateMedia({ colorScheme });
  for (const [name, width] of [
    ['desktop', 1280],
    ['phone', 390],
  ] as const) {
    // As high as the page, so that nothing that sticks is drawn in the middle.
    await page.setViewportSize({ width, height: 900 });
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ width, height });
    await page.evaluate(() => scrollTo(0, 0));
    const image = await page.screenshot();
    await sharp(image).png({ palette: true, colours: 128 }).toFile(`${directory}${name}-${colorScheme}.png`);
  }
}
await browser.close();
await server.close();
