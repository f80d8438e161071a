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
    await first.learned();
    await first.page.getByText('25 of 25').waitFor();
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
  const choose = (name: string) => page.locator('.people select').selectOption({ label: name });
  const focused = () =>
    page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent);
  it('two tabs change the same profile, and neither loses what the other wrote', async () => {
    const other = new PageDriver(await browser.context.newPage());
    await other.page.addInitScript(hearAtWill);
    await other.open(server.url);
    // The first adapts again without a class that the second has not seen go, and the second renames what it shows.
    await other.page.evaluate(() => Object.assign(globalThis, { isDeaf: true }));
    await page.bringToFront();
    await driver.button('Remove plus').click();
    await page.getByText('4 things, 20 pictures').waitFor();
    await driver.learned();
    expect(await other.page.locator('.thumb').count()).toBe(25);
    await other.page.bringToFront();
    await other.rename('Ann');
    await other.page.getByText('4 things, 20 pictures').waitFor();
    await other.page.evaluate(() => Reflect.deleteProperty(globalThis, 'isDeaf'));
    await other.pattern('from-block4');
    await page.locator('.people option', { hasText: /^Ann$/ }).waitFor({ state: 'attached' });
    await expect.poll(() => pattern(page).inputValue()).toBe('from-block4');
    // A profile that is deleted in one tab leaves the other, and what that one does next does not bring it back.
    await page.bringToFront();
    await driver.create('Bea');
    await other.page.locator('.people select').selectOption({ label: 'Bea' });
    await choose('Bea');
    // It is said until something else is.
    const said = other.page.getByText('“Bea” was deleted in another tab.').waitFor();
    await driver.delete();
    await said;
    await expect.poll(() => shown(other.page)).toBe('Ann');
    await other.pattern('head');
    await expect.poll(() => pattern(page).inputValue()).toBe('head');
    await page.reload();
    await driver.ready();
    expect(await names(page)).toEqual(['Ann']);
    expect(await pattern(page).inputValue()).toBe('head');
    expect(await page.locator('.thumb').count()).toBe(20);
    await driver.learned();
    const profile = server.bundle.profileFromBytes(await driver.save());
    expect(profile.classes).toHaveLength(4);
    // The same model as Node.js makes of it, which needs nothing of the page.
    const model = await driver.save('Download as ONNX');
    await page.getByText('as a model that any ONNX runtime runs. Your pictures are not in the file.').waitFor();
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
    await driver.create('Bea');
    expect(await names(page)).toEqual(['Anna', 'Bea']);
    await driver.delete();
    expect(await names(page)).toEqual(['Anna']);
    await page.getByText('5 things, 25 pictures').waitFor();
  });

  it('what was begun for one profile does not come out in another', async () => {
    await driver.openEngineers();
    await page.getByText('Compare patterns').click();
    await driver.button('Compare').click();
    await driver.create('Bea');
    await page.getByText('Comparing on “Anna”').waitFor();
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
    await page.getByLabel('Folder of classes').setInputFiles(folder);
    await page.getByRole('progressbar', { name: 'Reading pictures' }).waitFor();
    // The message stays for seconds only, which choosing may take on a busy machine.
    const told = page.getByText('Added 3 pictures of 1 thing to “Bea”.').waitFor();
    await choose('Anna');
    await told;
    expect(await page.locator('.thumb').count()).toBe(25);
    await choose('Bea');
    await page.getByText('1 thing, 3 pictures').waitFor();
    await rm(folder, { recursive: true });
    await driver.delete();
    expect(await names(page)).toEqual(['Anna']);
  });

  it('takes back what was done, is as it had learned then, and keeps the focus where it was', async () => {
    const adapted = await driver.save();
    const undoLast = () => page.keyboard.press('Control+z');
    const labels = () =>
      page.locator('.class-name').evaluateAll((all) => all.map((one) => (one as HTMLInputElement).value));
    const order = (await labels()) as [string, string, string];
    const [first, second, third] = order;
    const thumbs = (name: string) => driver.card(name).locator('.thumb');
    // Removed and taken back before anything is learned: nothing is.
    await thumbs(third).last().click();
    await page.getByRole('complementary', { name: '1 picture chosen' }).getByRole('button', { name: 'Remove' }).click();
    await page.getByText(`Removed 1 picture of “${third}”.`).waitFor();
    await page.locator('.notice').getByRole('button', { name: 'Undo' }).click();
    await driver.learned();
    expect(await driver.save()).toEqual(adapted);

    await thumbs(first).nth(1).focus();
    await page.keyboard.press('Delete');
    await page.getByText(`Removed 1 picture of “${first}”.`).waitFor();
    await expect.poll(() => thumbs(first).count()).toBe(4);
    await expect.poll(focused).toBe(`Picture 2 of ${first}`);
    for (let left = 3; left > 0; left--) {
      await page.keyboard.press('Delete');
      await expect.poll(() => thumbs(first).count()).toBe(left);
      await expect.poll(focused).toMatch(new RegExp(`^Picture \\d of ${first}$`));
    }
    await page.keyboard.press('Delete');
    await expect.poll(focused).toBe(`Name of ${first}`);

    await driver.button(`Remove ${second}`).focus();
    await page.keyboard.press('Enter');
    await page.getByText(`Removed “${second}” with 5 pictures.`).waitFor();
    await expect.poll(focused).toBe(`Remove ${third}`);

    // Moved by hand, dragged, renamed, a thing more: and all of it back, the last first.
    await thumbs(third).nth(0).click();
    await thumbs(third).nth(2).click();
    await page.getByLabel('Move to').selectOption({ label: first });
    await expect.poll(() => thumbs(first).count()).toBe(2);
    await thumbs(third).nth(0).dragTo(driver.card(first));
    await expect.poll(() => thumbs(first).count()).toBe(3);
    await driver.name(first, 'else');
    await driver.card('else').waitFor();
    await driver.button('Add “none of these”').click();
    await driver.card('none of these').waitFor();
    await driver.rename('Ann');
    await page.locator('.people option', { hasText: /^Ann$/ }).waitFor({ state: 'attached' });
    await page.locator('h1').click();
    while (!(await driver.button('Undo').first().isDisabled())) {
      await undoLast();
      await page.waitForTimeout(50);
    }
    expect(await names(page)).toEqual(['Anna']);
    expect(await labels()).toEqual(order);
    for (const name of order) expect(await thumbs(name).count()).toBe(5);
    await driver.learned();
    await page.reload();
    await driver.ready();
    await page.getByText('5 things, 25 pictures').waitFor();
    // From a dialog that the menu opened back to the menu.
    await page.getByLabel('More about this project').focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.locator('dialog[open]').getByRole('textbox').waitFor();
    await page.keyboard.press('Escape');
    await expect.poll(focused).toBe('More about this project');
    await driver.delete();
    await driver.undo();
    await expect.poll(() => shown(page)).toBe('Anna');
    await page.getByText('5 things, 25 pictures').waitFor();
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
    await driver.line([
      [0.2, 0.2],
      [0.8, 0.8],
    ]);
    await driver.button('Clear').click();
    await page.waitForTimeout(1500);
    expect(await page.locator('.prediction').count()).toBe(0);
    await driver.line([
      [0.2, 0.5],
      [0.8, 0.5],
    ]);
    await page.locator('.prediction').waitFor();
    expect(browser.problems).toEqual([]);
  });

  it('shows the picture that was handed in last, also where another profile is shown meanwhile', async () => {
    await driver.source('Draw');
    await driver.create('Ben');
    await page.locator('.people select').selectOption({ label: 'Anna' });
    await driver.line([
      [0.2, 0.2],
      [0.8, 0.8],
    ]);
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
    await driver.line([
      [0.2, 0.5],
      [0.8, 0.5],
    ]);
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
