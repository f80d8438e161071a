import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { chromiumPath, openBrowser, skipReason, type TestBrowser, type TestContext } from '@whet/tools/page/browser';
import { PageDriver } from '@whet/tools/page/driver';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { violationsOf } from './axe.js';

/** What a phone has and this machine lacks, as the page asks for it. */
interface Phone {
  /** Whether the light does what it is told. */
  hasPower: boolean;
  /** What the light was told. */
  readonly torch: boolean[];
  /** Which camera was asked for. */
  readonly facing: string[];
  /** ms of each vibration. */
  readonly felt: number[];
}
declare global {
  var phone: Phone;
}

function standIn(): void {
  globalThis.phone = { hasPower: true, torch: [], facing: [], felt: [] };
  const of = <T extends object>(prototype: T, name: keyof T & string, make: (own: never) => unknown) =>
    Object.defineProperty(prototype, name, { value: make(prototype[name] as never), configurable: true });
  of(Navigator.prototype, 'vibrate', () => (ms: number) => phone.felt.push(ms) > 0);
  // There is no camera before the page is there.
  if (!('MediaDevices' in globalThis)) return;
  of(
    MediaDevices.prototype,
    'getUserMedia',
    (own: MediaDevices['getUserMedia']) =>
      function (this: MediaDevices, asked: { video: { facingMode: string } }) {
        phone.facing.push(asked.video.facingMode);
        return own.call(this, { video: true });
      },
  );
  of(
    MediaDevices.prototype,
    'enumerateDevices',
    (own: MediaDevices['enumerateDevices']) =>
      async function (this: MediaDevices) {
        const [one] = (await own.call(this)).filter(({ kind }) => kind === 'videoinput');
        return [one, one];
      },
  );
  of(MediaStreamTrack.prototype, 'getCapabilities', () => () => ({ torch: phone.facing.at(-1) === 'environment' }));
  of(MediaStreamTrack.prototype, 'applyConstraints', () => async (asked: { advanced: { torch: boolean }[] }) => {
    if (!phone.hasPower) throw new DOMException('too hot', 'OperationError');
    phone.torch.push(asked.advanced[0]?.torch === true);
  });
}

describe.skipIf(!chromiumPath)(`the page on a phone${skipReason}`, () => {
  let folder: string;
  let server: PageServer;
  let browser: TestBrowser;
  let phoneContext: TestContext;
  let driver: PageDriver;

  beforeAll(async () => {
    folder = await partOfBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), ['head']);
    server = await startPageServer(folder);
    browser = await openBrowser({
      compileOnce: true,
      arguments: ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
    });
    phoneContext = await browser.another({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    await phoneContext.context.addInitScript(standIn);
    driver = new PageDriver(await phoneContext.context.newPage());
    await driver.open(server.url);
    await driver.source('Camera');
    await driver.button('Start the camera').tap();
    await driver.page.locator('.frame.on').waitFor();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    if (folder) await rm(folder, { recursive: true });
  });

  const phoneNow = () => driver.page.evaluate(() => phone);
  const boxOf = async (name: string) => {
    const box = await driver.button(name).boundingBox();
    if (!box) throw new Error(`expected a box of ${name}`);
    return box;
  };

  it('has no folders and nothing to drop', async () => {
    expect(await driver.button('Add a folder of folders').count()).toBe(0);
    expect(await driver.page.getByText(/drop/i).count()).toBe(0);
  });

  it('switches the light of its camera on and off, and takes the button away where the system does not give it', async () => {
    const light = driver.button('Light');
    await light.tap();
    await expect.poll(() => light.getAttribute('aria-pressed')).toBe('true');
    await light.tap();
    await expect.poll(() => light.getAttribute('aria-pressed')).toBe('false');
    expect((await phoneNow()).torch).toEqual([true, false]);
    await driver.page.evaluate(() => {
      phone.hasPower = false;
    });
    await light.tap();
    await light.waitFor({ state: 'detached' });
  });

  it('begins with the camera that looks away, turns to the other, which has no light, and back', async () => {
    for (let i = 0; i < 2; i++) {
      await driver.button('Other camera').tap();
      await driver.page.locator('.frame.on').waitFor();
      expect(await driver.button('Light').count()).toBe(i);
    }
    expect((await phoneNow()).facing).toEqual(['environment', 'user', 'environment']);
  });

  it('is felt with each picture that is taken', async () => {
    await driver.button('Hold to record Thing 1').hover();
    await driver.page.mouse.down();
    await expect.poll(async () => (await phoneNow()).felt.length).toBeGreaterThan(1);
    await driver.page.mouse.up();
    const thumbs = driver.card('Thing 1').locator('.thumb');
    await expect.poll(async () => (await thumbs.count()) - (await phoneNow()).felt.length).toBe(0);
  });

  it.each([
    [390, 844],
    [360, 640],
    [667, 375],
    [844, 390],
    [932, 430],
  ])(
    '%i x %i: the camera and the button of a thing are in view together, large enough, and nothing is beside the screen',
    async (width, height) => {
      const { page, button } = driver;
      await page.setViewportSize({ width, height });
      await button('Hold to record Thing 1').evaluate((element) => {
        element.scrollIntoView({ block: 'end' });
        scrollBy(0, 12);
      });
      const [hold, frame] = [await boxOf('Hold to record Thing 1'), await page.locator('.frame').boundingBox()];
      expect(hold.y + hold.height).toBeLessThanOrEqual(height);
      expect(frame?.y).toBeGreaterThanOrEqual(0);
      expect((frame?.y ?? 0) + (frame?.height ?? height)).toBeLessThanOrEqual(height);
      // By the thumb of the hand that holds it.
      if (height > width) expect(hold.y + hold.height / 2).toBeGreaterThan(height / 2);
      for (const { height: side } of [hold, await boxOf('Other camera'), await boxOf('Stop the camera')])
        expect(side).toBeGreaterThanOrEqual(44);
      // On its side, the buttons of a small picture stand beside it.
      const other = await boxOf('Other camera');
      const isBeside = other.x >= (frame?.x ?? 0) + (frame?.width ?? 0);
      expect(isBeside).toBe(width > height);
      const stage = await page.locator('.stage').boundingBox();
      expect(other.x + other.width).toBeLessThanOrEqual((stage?.x ?? 0) + (stage?.width ?? 0));
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      expect(await violationsOf(page)).toEqual([]);
    },
  );

  it('offers to be installed once something was learned, and not again after an answer', async () => {
    const { page } = driver;
    await page.setViewportSize({ width: 390, height: 844 });
    const offer = () =>
      page.evaluate(() => {
        const event = Object.assign(new Event('beforeinstallprompt', { cancelable: true }), {
          prompt: async () => phone.felt.push(-1),
        });
        return dispatchEvent(event);
      });
    const text = page.getByText('Have it at hand: install it like an app.');
    // Held back by the page, and shown to nobody who has not learned anything.
    expect(await offer()).toBe(false);
    expect(await text.count()).toBe(0);
    await driver.button('Hold to record Thing 2').tap();
    await driver.learned();
    await text.waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await driver.button('Not now').tap();
    await text.waitFor({ state: 'detached' });
    expect((await phoneNow()).felt).not.toContain(-1);
    await offer();
    await driver.button('Install').tap();
    await text.waitFor({ state: 'detached' });
    expect((await phoneNow()).felt).toContain(-1);
    expect(phoneContext.problems).toEqual([]);
  });

  it.each([
    [667, 375],
    [844, 390],
  ])('%i x %i: what it sees is said in view of its picture', async (width, height) => {
    const { page } = driver;
    await page.setViewportSize({ width, height });
    await page.evaluate(() => scrollTo(0, 0));
    await driver.button('Hold to record Thing 1').scrollIntoViewIfNeeded();
    const verdict = await page.locator('.verdict').boundingBox();
    expect((verdict?.y ?? height) + (verdict?.height ?? height)).toBeLessThanOrEqual(height);
    await page.setViewportSize({ width: 390, height: 844 });
  });

  it('keeps what it says for as long as the pointer is on it', async () => {
    const { page } = driver;
    const told = page.locator('.notice');
    await driver.button('Hold to record Thing 2').tap();
    await told.waitFor();
    await told.hover();
    await page.waitForTimeout(9000);
    expect(await told.count()).toBe(1);
    await page.mouse.move(0, 0);
    await told.waitFor({ state: 'detached' });
  });

  it('put away while it records, it keeps what was recorded and goes on learning', async () => {
    const { page, button, card } = driver;
    const before = (await phoneNow()).felt.length;
    await button('Hold to record Thing 2').hover();
    await page.mouse.down();
    await expect.poll(async () => (await phoneNow()).felt.length).toBeGreaterThan(before);
    const isSeen = (state: DocumentVisibilityState) =>
      page.evaluate((value) => {
        Object.defineProperty(document, 'visibilityState', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, state);
    await isSeen('hidden');
    await page.locator('.frame:not(.recording)').waitFor();
    const thumbs = () => page.locator('.thumb:not(.coming)').count();
    const all = page.locator('.status-line.learned');
    await expect
      .poll(async () => [await all.allInnerTexts(), await thumbs()].join())
      .toMatch(/Learned from (\d+) pictures.*,\1$/);
    expect(await card('Thing 2').locator('.thumb').count()).toBeGreaterThan(1);
    const felt = (await phoneNow()).felt.length;
    await page.mouse.up();
    await isSeen('visible');
    // It sees again; what was let go meanwhile adds nothing.
    const looked = await page.locator('.prediction').getAttribute('data-query');
    await page.locator(`.prediction:not([data-query="${looked}"])`).waitFor();
    expect((await phoneNow()).felt.length).toBe(felt);
    expect(phoneContext.problems).toEqual([]);
  });
});
