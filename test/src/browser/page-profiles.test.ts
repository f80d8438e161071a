import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { chromiumPath, openBrowser, skipReason, type TestBrowser } from '@whet/tools/page/browser';
import { PageDriver } from '@whet/tools/page/driver';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

/**
 * What runs in a tab before its page: `hear()` is as a message of another tab, and while `isDeaf` is there nothing of other tabs is
 * heard, as where their messages are still under way.
 */
function hearAtWill(): void {
  const listen = BroadcastChannel.prototype.addEventListener as (type: string, listener: () => void) => void;
  BroadcastChannel.prototype.addEventListener = function (this: BroadcastChannel, type: string, hear: () => void) {
    Object.assign(globalThis, { hear });
    listen.call(this, type, () => 'isDeaf' in globalThis || hear());
  } as typeof BroadcastChannel.prototype.addEventListener;
}

// Tabs come to the front before they are clicked, as with a person: of one that is behind, Chromium draws a frame every two seconds, or
// none on a busy machine, and a click waits until the button stands still from one frame to the next.
describe.skipIf(!chromiumPath)(`the page's profiles in use${skipReason}`, () => {
  let folder: string;
  let server: PageServer;
  let browser: TestBrowser;
  let driver: PageDriver;
  let page: Page;
  /** What a device keeps that has a profile "Anna", adapted to 25 examples. */
  let anna: Awaited<ReturnType<TestBrowser['context']['storageState']>>;

  beforeAll(async () => {
    // Without a dense pattern, which the page would measure after each adaptation.
    folder = await partOfBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), ['head', 'from-block4', 'sparse']);
    browser = await openBrowser({ compileOnce: true });
    server = await startPageServer(folder);
    const first = new PageDriver(await browser.context.newPage());
    await first.open(server.url);
    await first.demo();
    await first.pattern('head');
    await first.adapt();
    await first.rename('Anna');
    await first.page.locator('.people option', { hasText: 'Anna' }).waitFor({ state: 'attached' });
    anna = await browser.context.storageState({ indexedDB: true });
    // A tab that stays: with the last of an address the browser forgets what it compiled for it.
    await first.page.goto(`${server.url}health`);
  });
  // Each begins with the same: what one test leaves is nothing to the next.
  beforeEach(async () => {
    await browser.context.setStorageState(anna);
    page = await browser.context.newPage();
    driver = new PageDriver(page);
    await page.addInitScript(hearAtWill);
    await driver.open(server.url);
    expect(await names(page)).toEqual(['Anna']);
  });
  afterEach(async () => {
    for (const open of browser.context.pages().slice(1)) await open.close();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    if (folder) await rm(folder, { recursive: true });
  });
  const names = (of: Page) => of.locator('.people option').allInnerTexts();
  const shown = (of: Page) => of.locator('.people option:checked').innerText();
  const pattern = (of: Page) => of.getByLabel('Pattern: what may move');
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
    await other.page.addInitScript(hearAtWill);
    await other.open(server.url);
    // The first adapts again without a class that the second has not seen go, and the second renames what it shows.
    await other.page.evaluate(() => Object.assign(globalThis, { isDeaf: true }));
    await page.bringToFront();
    await driver.button('Delete the class plus').click();
    await driver.adapt();
    expect(await other.page.locator('.thumb').count()).toBe(25);
    await other.page.bringToFront();
    await other.rename('Ann');
    await other.page.getByText('4 with 20 examples').waitFor();
    await other.page.evaluate(() => Reflect.deleteProperty(globalThis, 'isDeaf'));
    await pattern(other.page).selectOption('from-block4');
    await page.locator('.people option', { hasText: /^Ann$/ }).waitFor({ state: 'attached' });
    await expect.poll(() => pattern(page).inputValue()).toBe('from-block4');
    // A profile that is deleted in one tab leaves the other, and what that one does next does not bring it back.
    await page.bringToFront();
    await create('Bea');
    await other.page.locator('.people select').selectOption({ label: 'Bea' });
    await choose('Bea');
    // It is said until something else is.
    const said = other.page.getByText('"Bea" was deleted in another tab.').waitFor();
    await driver.delete();
    await said;
    await expect.poll(() => shown(other.page)).toBe('Ann');
    await pattern(other.page).selectOption('head');
    await expect.poll(() => pattern(page).inputValue()).toBe('head');
    await page.reload();
    await driver.ready();
    expect(await names(page)).toEqual(['Ann']);
    expect(await pattern(page).inputValue()).toBe('head');
    expect(await page.locator('.thumb').count()).toBe(20);
    const profile = server.bundle.profileFromBytes(await driver.export());
    expect(profile.classes).toHaveLength(4);
    // The same model as Node.js makes of it, which needs nothing of the page.
    const model = await driver.export('Export as ONNX');
    expect(await driver.notice()).toContain(
      'as a model that any ONNX runtime runs. Your pictures are not in the file.',
    );
    expect(Buffer.from(model).equals(await server.bundle.freeze(profile, { input: 'pixels' }))).toBe(true);
  });

  it('shows what it makes and not what it deletes, also where another tab writes at that moment', async () => {
    await page.evaluate(() => {
      const { transaction } = IDBDatabase.prototype;
      IDBDatabase.prototype.transaction = function (stores, mode, ...rest) {
        // The store is read just before it is written.
        if (mode === 'readwrite' && stores === 'profiles') (globalThis as unknown as { hear(): void }).hear();
        return transaction.call(this, stores, mode, ...rest);
      };
    });
    await create('Bea');
    expect(await names(page)).toEqual(['Anna', 'Bea']);
    await driver.delete();
    expect(await names(page)).toEqual(['Anna']);
    await page.getByText('5 with 25 examples').waitFor();
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
    // The message stays for seconds only, which choosing may take on a busy machine.
    const told = page.getByText('Added 3 pictures of 1 class to "Bea".').waitFor();
    await choose('Anna');
    await told;
    expect(await page.locator('.thumb').count()).toBe(25);
    await choose('Bea');
    await page.getByText('1 with 3 examples').waitFor();
    await rm(folder, { recursive: true });
    await driver.delete();
    expect(await names(page)).toEqual(['Anna']);
  });

  it('takes back what was removed, is as adapted as it was then, and keeps the focus where it was', async () => {
    await page.locator('.thumb').last().click();
    await page.getByText(/^Classes changed since/).waitFor();
    await page.locator('.notice').getByRole('button', { name: 'Undo' }).click();
    await page.getByText(/^Classes changed since/).waitFor({ state: 'hidden' });
    const labels = () =>
      page.locator('.class-name').evaluateAll((all) => all.map((one) => (one as HTMLInputElement).value));
    const order = await labels();
    const [first, second, third] = order;
    const thumbs = page.locator('.class').first().locator('.thumb');
    await thumbs.nth(1).focus();
    await page.keyboard.press('Enter');
    await page.getByText(`Removed an example of "${first}".`).waitFor();
    expect(await thumbs.count()).toBe(4);
    await expect.poll(focused).toBe(`Remove example 2 of ${first}`);
    for (let left = 3; left > 0; left--) {
      await page.keyboard.press('Enter');
      await expect.poll(() => thumbs.count()).toBe(left);
      await expect.poll(focused).toMatch(new RegExp(`^Remove example \\d of ${first}$`));
    }
    await page.keyboard.press('Enter');
    await expect.poll(focused).toBe(`Delete the class ${first}`);
    await page.locator('.notice').getByRole('button', { name: 'Undo' }).click();
    await expect.poll(() => thumbs.count()).toBe(1);

    await driver.button(`Delete the class ${second}`).focus();
    await page.keyboard.press('Enter');
    await page.getByText(`Removed the class "${second}" with 5 examples.`).waitFor();
    await expect.poll(focused).toBe(`Delete the class ${third}`);
    await page.locator('.notice').getByRole('button', { name: 'Undo' }).click();
    await page.getByLabel(`Name of the class ${second}`).waitFor();
    expect(await labels()).toEqual(order);
    await page.reload();
    await driver.ready();
    await page.getByText('5 with 21 examples').waitFor();
    // From a dialog that the menu opened back to the menu.
    await page.getByLabel('More about this profile').focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('textbox').waitFor();
    await page.keyboard.press('Escape');
    await expect.poll(focused).toBe('More about this profile');
  });

  it('a double click adapts, and does not cancel; the focus goes along', async () => {
    await pattern(page).selectOption('from-block4');
    // Written down in the page: an adaptation may be over before a look from outside.
    await page.evaluate(() => {
      const buttons: string[] = [];
      addEventListener('focusin', ({ target }) => buttons.push((target as HTMLElement).textContent));
      Object.assign(globalThis, { buttons });
    });
    await driver.adaptButton.dblclick();
    await page.getByText(/^Adapted to/).waitFor({ timeout: 120_000 });
    await expect.poll(focused).toBe('Adapt');
    const buttons = await page.evaluate(() => (globalThis as unknown as { buttons: string[] }).buttons);
    // Clicked, then what stands in its place, then back.
    expect(buttons.slice(1)).toEqual(['Cancel', 'Adapt']);
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

  it('shows the picture that was handed in last, also where another profile is shown meanwhile', async () => {
    await driver.source('Draw');
    await create('Ben');
    await page.locator('.people select').selectOption({ label: 'Anna' });
    await line(0.2, 0.2, 0.8, 0.8);
    const prediction = page.locator('.prediction');
    await prediction.waitFor();
    const first = await prediction.getAttribute('data-query');
    // The older picture is predicted again while the new one is decoded.
    await page.evaluate(() => {
      const whole = createImageBitmap;
      globalThis.createImageBitmap = (async (image: HTMLCanvasElement) => {
        const bitmap = await whole(image);
        const select = document.querySelector('.people select') as HTMLSelectElement;
        for (const { value } of [...select.options].reverse()) {
          select.value = value;
          select.dispatchEvent(new Event('change', { bubbles: true }));
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        return bitmap;
      }) as typeof createImageBitmap;
    });
    await line(0.2, 0.5, 0.8, 0.5);
    await expect.poll(() => prediction.getAttribute('data-query')).not.toBe(first);
    const second = await prediction.getAttribute('data-query');
    // Shown anew, it is the same picture.
    await page.locator('.people select').selectOption({ label: 'Ben' });
    await prediction.waitFor({ state: 'detached' });
    await page.locator('.people select').selectOption({ label: 'Anna' });
    await prediction.waitFor();
    expect(await prediction.getAttribute('data-query')).toBe(second);
    expect(browser.problems).toEqual([]);
  });
});
