import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromiumPath, openBrowser, skipReason, type TestBrowser } from '@whet/tools/page/browser';
import { PageDriver } from '@whet/tools/page/driver';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe.skipIf(!chromiumPath)(`the page's profiles in use${skipReason}`, () => {
  let server: PageServer;
  let browser: TestBrowser;
  let driver: PageDriver;
  let page: Page;

  beforeAll(async () => {
    server = await startPageServer();
    browser = await openBrowser();
    page = browser.context.pages()[0] ?? (await browser.context.newPage());
    driver = new PageDriver(page);
    await driver.open(server.url);
    await driver.demo();
    await driver.adapt();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });
  const names = (of: Page) => of.locator('.people option').allInnerTexts();
  const shown = (of: Page) => of.locator('.people option:checked').innerText();
  const create = async (name: string) => {
    await driver.button('New').click();
    await page.getByRole('dialog').getByRole('textbox').fill(name);
    await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
    await page.getByText('Show a few pictures').waitFor();
  };
  const choose = (name: string) => page.locator('.people select').selectOption({ label: name });
  const focused = () =>
    page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent);
  const line = async (x0: number, y0: number, x1: number, y1: number) => {
    const pad = page.getByRole('application', { name: /^Drawing pad/ });
    await pad.scrollIntoViewIfNeeded();
    const box = await pad.boundingBox();
    if (!box) throw new Error('expected a pad');
    await page.mouse.move(box.x + box.width * x0, box.y + box.height * y0);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * x1, box.y + box.height * y1, { steps: 4 });
    await page.mouse.up();
  };

  it('two tabs change the same profile, and neither loses what the other wrote', async () => {
    const other = new PageDriver(await browser.context.newPage());
    // It can be made to hear nothing of what other tabs write, as one whose message is still under way.
    await other.page.addInitScript(() => {
      const listen = BroadcastChannel.prototype.addEventListener as (type: string, listener: () => void) => void;
      BroadcastChannel.prototype.addEventListener = function (this: BroadcastChannel, type: string, told: () => void) {
        listen.call(this, type, () => 'isDeaf' in globalThis || told());
      } as typeof BroadcastChannel.prototype.addEventListener;
    });
    await other.open(server.url);
    // The first adapts again without a class that the second has not seen go, and the second renames what it shows.
    await other.page.evaluate(() => Object.assign(globalThis, { isDeaf: true }));
    await driver.button('Delete the class plus').click();
    await driver.adapt();
    expect(await other.page.locator('.thumb').count()).toBe(25);
    await other.rename('Anna');
    await other.page.getByText('4 with 20 examples').waitFor();
    await other.page.evaluate(() => Reflect.deleteProperty(globalThis, 'isDeaf'));
    await other.page.getByLabel('Pattern: what may move').selectOption('from-block4');
    await page.locator('.people option', { hasText: 'Anna' }).waitFor({ state: 'attached' });
    expect(await page.getByLabel('Pattern: what may move').inputValue()).toBe('from-block4');
    // A profile that is deleted in one tab leaves the other, and what that one does next does not bring it back.
    await create('Bea');
    await other.page.locator('.people select').selectOption({ label: 'Bea' });
    await choose('Bea');
    await driver.delete();
    await other.page.getByText('"Bea" was deleted in another tab.').waitFor();
    expect(await shown(other.page)).toBe('Anna');
    await other.page.getByLabel('Pattern: what may move').selectOption('head');
    await page.reload();
    await driver.ready();
    expect(await names(page)).toEqual(['Anna']);
    expect(await page.getByLabel('Pattern: what may move').inputValue()).toBe('head');
    expect(await page.locator('.thumb').count()).toBe(20);
    expect(server.bundle.profileFromBytes(await driver.export()).classes).toHaveLength(4);
    await other.page.close();
  });

  it('what was begun for one profile does not come out in another', async () => {
    await page.getByText('Compare patterns').click();
    await driver.button('Compare').click();
    await create('Bea');
    await page.getByText('Comparing on "Anna"').waitFor();
    expect(await page.locator('tr[data-pattern]').count()).toBe(0);
    await driver.button('Cancel').click();
    await driver.button('Cancel').waitFor({ state: 'hidden' });

    const folder = await mkdtemp(join(tmpdir(), 'whet-folder-'));
    await mkdir(join(folder, 'grey'));
    for (let i = 0; i < 3; i++) {
      await sharp({ create: { width: 2500, height: 2500, channels: 3, background: '#888' } })
        .jpeg()
        .toFile(join(folder, 'grey', `${i}.jpg`));
    }
    await driver.source('Upload');
    await page.getByLabel('Folder of classes').setInputFiles(folder);
    await page.getByRole('progressbar', { name: 'Reading pictures' }).waitFor();
    await choose('Anna');
    await page.getByText('Added 3 pictures of 1 class to "Bea".').waitFor();
    expect(await page.locator('.thumb').count()).toBe(20);
    await choose('Bea');
    await page.getByText('1 with 3 examples').waitFor();
    await rm(folder, { recursive: true });
    await driver.delete();
    expect(await names(page)).toEqual(['Anna']);
  });

  it('takes back what was removed, and keeps the focus where it was', async () => {
    const thumbs = page.locator('.class').first().locator('.thumb');
    const remove = /^Remove example \d of question-mark$/;
    await thumbs.nth(1).focus();
    await page.keyboard.press('Enter');
    await page.getByText('Removed an example of "question-mark".').waitFor();
    expect(await thumbs.count()).toBe(4);
    await expect.poll(focused).toBe('Remove example 2 of question-mark');
    for (let left = 3; left > 0; left--) {
      await page.keyboard.press('Enter');
      await expect.poll(() => thumbs.count()).toBe(left);
      await expect.poll(focused).toMatch(remove);
    }
    await page.keyboard.press('Enter');
    await expect.poll(focused).toBe('Delete the class question-mark');
    await page.locator('.notice').getByRole('button', { name: 'Undo' }).click();
    await expect.poll(() => thumbs.count()).toBe(1);

    await driver.button('Delete the class dollar').focus();
    await page.keyboard.press('Enter');
    await page.getByText('Removed the class "dollar" with 5 examples.').waitFor();
    await expect.poll(focused).toBe('Delete the class equals');
    await page.locator('.notice').getByRole('button', { name: 'Undo' }).click();
    await page.getByLabel('Name of the class dollar').waitFor();
    const order = await page
      .locator('.class-name')
      .evaluateAll((all) => all.map((one) => (one as HTMLInputElement).value));
    expect(order).toEqual(['question-mark', 'percent', 'dollar', 'equals']);
    await page.reload();
    await driver.ready();
    await page.getByText('4 with 16 examples').waitFor();
    // From a dialog that the menu opened back to the menu.
    await page.getByLabel('More about this profile').focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('textbox').waitFor();
    await page.keyboard.press('Escape');
    await expect.poll(focused).toBe('More about this profile');
  });

  it('is as adapted as it was where what was removed is taken back', async () => {
    await driver.adapt();
    await page.locator('.thumb').last().click();
    await page.getByText(/^Classes changed since/).waitFor();
    await page.locator('.notice').getByRole('button', { name: 'Undo' }).click();
    await page.getByText(/^Classes changed since/).waitFor({ state: 'hidden' });
  });

  it('a double click adapts, and does not cancel; the focus goes along', async () => {
    await page.getByLabel('Pattern: what may move').selectOption('sparse');
    await driver.adaptButton.dblclick();
    await driver.button('Cancel').waitFor();
    await expect.poll(focused).toBe('Cancel');
    await page.getByText(/^Adapted to/).waitFor({ timeout: 120_000 });
    await expect.poll(focused).toBe('Adapt');
  });

  it('shows no picture that was cleared before it could be decoded', async () => {
    await driver.source('Draw');
    // A device that is slow to decode, as any is while it computes.
    await page.evaluate(() => {
      const whole = createImageBitmap;
      globalThis.createImageBitmap = (async (image: HTMLCanvasElement) => {
        const bitmap = await whole(image);
        await new Promise((resolve) => setTimeout(resolve, 300));
        return bitmap;
      }) as typeof createImageBitmap;
    });
    await line(0.2, 0.2, 0.8, 0.8);
    await driver.button('Clear').click();
    await page.waitForTimeout(1500);
    expect(await page.locator('.seen').count()).toBe(0);
    await line(0.2, 0.5, 0.8, 0.5);
    await page.locator('.seen').waitFor();
    expect(browser.problems).toEqual([]);
  });
});
