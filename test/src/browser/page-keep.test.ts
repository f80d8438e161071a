import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { deflateRawSync, gunzipSync, inflateRawSync } from 'node:zlib';
import { bundlesDirectory, OMNIGLOT_BUNDLE, PHOTOS_BUNDLE } from '@whet/models';
import { decodeImage } from '@whet/runtime/images';
import { charactersDirectory, type DemoImage, loadDemoImages, thingsDirectory } from '@whet/tools/demo/demo-images';
import { chromiumPath, openBrowser, skipReason, type TestBrowser } from '@whet/tools/page/browser';
import { best, PageDriver } from '@whet/tools/page/driver';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate';
import jsqr from 'jsqr';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runWhet } from '../command/whet-process.js';
import { violationsOf } from './axe.js';

describe.skipIf(!chromiumPath)(`what the page keeps and shares${skipReason}`, () => {
  let folder: string;
  let photos: string;
  let server: PageServer;
  let browser: TestBrowser;
  let driver: PageDriver;
  let demo: ReadonlyMap<string, readonly DemoImage[]>;
  let project: Uint8Array;
  const image = () => demo.get('dollar')?.[7] as DemoImage;

  beforeAll(async () => {
    demo = await loadDemoImages(charactersDirectory);
    folder = await partOfBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), ['head']);
    photos = await partOfBundle(join(bundlesDirectory, PHOTOS_BUNDLE), ['head']);
    const models = [
      ['drawn', folder],
      ['photographed', photos],
    ] as const;
    server = await startPageServer(folder, undefined, new Map(models));
    browser = await openBrowser({ compileOnce: true, context: { permissions: ['clipboard-read', 'clipboard-write'] } });
    driver = new PageDriver(await browser.context.newPage());
    await driver.open(server.url);
    await driver.demo();
    await driver.learned();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    for (const place of [folder, photos]) if (place) await rm(place, { recursive: true });
  });

  it('a project with its pictures: a zip of folders of them, which comes back as it was', async () => {
    await driver.rename('Signs');
    const said = driver.page.getByText('Saved “Signs” with 25 pictures in it.').waitFor();
    project = await driver.save('Save with pictures');
    await said;
    const files = unzipSync(project);
    expect(Object.keys(files).filter((path) => /^pictures\/\d-[^/]+\/\d\.png$/.test(path))).toHaveLength(25);
    const before = await driver.save();
    const page = await browser.context.newPage();
    const other = new PageDriver(page);
    await other.open(server.url);
    await other.openFile('Signs.whet-project.zip', project);
    await page.getByText('Opened “Signs” with 25 pictures.').waitFor();
    await page.getByText('5 things, 25 pictures').waitFor();
    await other.learned();
    // The same pixels, so the same values.
    const [one, two] = [before, await other.save()].map((bytes) => server.bundle.profileFromBytes(bytes));
    expect(two?.classes).toEqual(one?.classes);
    for (const [name, { data }] of one?.values ?? [])
      expect([...(two?.values.get(name)?.data ?? [])]).toEqual([...data]);
    await other.undo();
    expect(await page.locator('.people option').allInnerTexts()).toEqual(['Signs']);
    await page.close();
  });

  it('what it has learned as one ONNX model, which Node.js runs on pixels to the same probabilities', async () => {
    const session = await ort.InferenceSession.create(await driver.save('Download as ONNX'));
    const shown = await driver.predict(image().file);
    const tensor = await decodeImage(image().bytes, server.bundle.manifest.preprocessing);
    const profile = server.bundle.profileFromBytes(await driver.save());
    // Its pixels are those of the picture before they are normalized: 0 to 255, ink dark.
    const pixels = Uint8Array.from(tensor, (value) => Math.round(255 * (1 - value)));
    const input = new ort.Tensor('uint8', pixels, [1, 28, 28, 1]);
    const answer = await session.run({ [session.inputNames[0] as string]: input });
    const probabilities = answer[session.outputNames[0] as string]?.data as Float32Array;
    for (const [i, name] of profile.classes.entries())
      expect(Math.abs((shown[name] ?? Number.NaN) - (probabilities[i] ?? 9))).toBeLessThan(1e-3);
  });

  it('what it has learned as a web page, made without a network: the one that `whet freeze --html` writes, and it classifies from a disk', async () => {
    const { page } = driver;
    await page.getByText('it works without a network').waitFor();
    const profile = await driver.save();
    await browser.context.setOffline(true);
    await driver.button('As a web page').click();
    const size = page.locator('dialog[open]').getByText(/^One file of [\d.]+ MB\.$/);
    await size.waitFor();
    expect(await violationsOf(page)).toEqual([]);
    const megabytes = Number(/[\d.]+/.exec(await size.innerText())?.[0]);
    const download = page.waitForEvent('download');
    await driver.answer('Save the file');
    const file = join(folder, 'signs.html');
    await (await download).saveAs(file);
    expect((await download).suggestedFilename()).toBe('Signs.html');
    await page.getByText('Saved “Signs” as a web page. Your pictures are not in it.').waitFor();
    const made = await readFile(file, 'utf8');
    expect(Math.abs(made.length / 1e6 - megabytes)).toBeLessThan(0.06);
    await writeFile(join(folder, 'me.profile'), profile);
    const told = await runWhet(folder, ['freeze', '.', '--profile', 'me.profile', '--html', 'cli.html']);
    expect(told.code, told.err).toBe(0);
    expect(unpacked(made)).toEqual(unpacked(await readFile(join(folder, 'cli.html'), 'utf8')));

    const other = await browser.another({ offline: true });
    const opened = await other.context.newPage();
    await opened.goto(pathToFileURL(file).href);
    await opened.getByText('Ready', { exact: true }).waitFor();
    await opened.getByLabel('Choose a picture').setInputFiles(image().file);
    await opened.locator('li').first().waitFor();
    const shown = await driver.predict(image().file);
    const answers = await opened.$$eval('li', (items) =>
      items.map((item) => [item.querySelector('span')?.textContent, item.querySelector('meter')?.value] as const),
    );
    expect(answers).toHaveLength(5);
    for (const [name, share] of answers)
      expect(Math.abs((shown[name as string] ?? 9) - (share as number))).toBeLessThan(1e-3);
    expect(other.problems).toEqual([]);
    await other.context.close();
    await browser.context.setOffline(false);
  });

  it('a link that holds what it has learned; nothing of it is sent', async () => {
    await driver.button('Share a link').click();
    const link = await driver.link();
    expect(link.startsWith(`${server.url}#model=drawn&name=Signs&profile=`)).toBe(true);
    await driver.page.getByText('It is too long for a QR code.').waitFor();
    await driver.button('Copy the link').click();
    // Written a moment after the click.
    await expect.poll(() => driver.page.evaluate(() => navigator.clipboard.readText())).toBe(link);
    await driver.answer('Done');
    const expected = await driver.predict(image().file);
    const before = server.requests.length;
    const other = await browser.another();
    const receiver = new PageDriver(await other.context.newPage());
    await receiver.open(link);
    await receiver.page.getByText('Opened “Signs”: it knows 5 things.').waitFor();
    expect(receiver.page.url()).toBe(server.url);
    const shown = await receiver.predict(image().file);
    for (const [name, value] of Object.entries(expected))
      expect(Math.abs((shown[name] ?? 9) - value)).toBeLessThan(0.01);
    expect(server.requests.slice(before).filter(({ url }) => /profile=|Signs/.test(url))).toEqual([]);
    const profile = new URLSearchParams(link.split('#')[1]).get('profile') ?? '';
    const changed = (from: string, to: string) => {
      const bytes = inflateRawSync(Buffer.from(profile, 'base64url'));
      bytes.write(to, bytes.indexOf(from));
      return `#model=drawn&name=x&profile=${deflateRawSync(bytes).toString('base64url')}`;
    };
    for (const [fragment, problem] of [
      [link.slice(link.indexOf('#'), -40), 'what it learned is not whole in it: the link was cut off.'],
      [`#model=gone&name=x&profile=${profile}`, 'it is for the model “gone”, which this page has not got.'],
      [changed(server.bundle.digest, '0'.repeat(64)), 'it is for another model, or another version of this one.'],
      [changed('whet-profile-1', 'whet-profile-9'), 'it was saved by a newer version of this page.'],
      [changed('whet-profile-1', 'what-profile-1'), 'it is nothing that was saved here, or it is damaged.'],
    ] as const) {
      await receiver.page.evaluate((hash) => {
        location.hash = hash;
      }, fragment);
      await receiver.problem(`The link was not opened: ${problem}`);
    }
    expect(other.problems).toEqual([]);
    await other.context.close();
  });

  it.each([
    ['phones', 3, [390, 320]],
    ['a desktop', 1, [1280]],
  ])(
    'on %s, a QR code of a link that is read from the screen, also of what is changed meanwhile',
    async (_, deviceScaleFactor, widths) => {
      const other = await browser.another({ viewport: { width: 1280, height: 800 }, deviceScaleFactor });
      const sender = new PageDriver(await other.context.newPage());
      const { page } = sender;
      await sender.open(server.url);
      for (const name of ['dollar', 'plus']) {
        const file = (demo.get(name) as readonly DemoImage[])[0]?.file as string;
        await page.getByLabel(`Pictures of Thing ${name === 'dollar' ? 1 : 2}`, { exact: true }).setInputFiles(file);
      }
      await sender.learned();
      // Long enough for a version that jsqr reads: it has wrong numbers of version 23.
      const [first, later] = ['What stands in streets', 'What hangs on walls'].map((text) => text.padEnd(76, '.'));
      await sender.rename(first as string);
      await page.setViewportSize({ width: widths[0] as number, height: 800 });
      await sender.button('Share a link').click();
      const seen = async () => {
        const code = page.getByRole('img', { name: 'QR code of the link' });
        await code.waitFor();
        const { data, info } = await sharp(await code.screenshot())
          .ensureAlpha()
          .raw()
          .toBuffer({ resolveWithObject: true });
        const modules = Number((await code.getAttribute('viewBox'))?.split(' ')[2]);
        expect(modules - 8).toBeLessThanOrEqual(121);
        // A screenshot has whole pixels of the page around it.
        expect(info.width % modules).toBeLessThanOrEqual(2 * deviceScaleFactor);
        return jsqr.default(new Uint8ClampedArray(data), info.width, info.height)?.data;
      };
      const link = await sender.link();
      for (const width of widths) {
        await page.setViewportSize({ width, height: 800 });
        await expect.poll(seen).toBe(link);
        const buttons = await page.locator('dialog[open] .row.end button').all();
        const tops = await Promise.all(buttons.map(async (button) => (await button.boundingBox())?.y));
        // Side by side, where three have room.
        expect(new Set(tops).size).toBeLessThanOrEqual(width < 390 ? 2 : 1);
      }
      // Not before: a page behind another draws about once a second, and is waited for.
      const changer = new PageDriver(await other.context.newPage());
      await changer.open(server.url);
      await changer.rename(later as string);
      await page.bringToFront();
      await expect.poll(() => page.getByLabel('Link', { exact: true }).inputValue()).toContain('name=What+hangs');
      expect(await seen()).toBe(await sender.link());
      expect(other.problems).toEqual([]);
      await other.context.close();
    },
  );

  it('a link of five photographed things, which answers as they do, and the file beside it', async () => {
    const other = await browser.another();
    const sender = new PageDriver(await other.context.newPage());
    await sender.open(server.url);
    await sender.model('Photographs');
    await sender.button('Start the camera').waitFor();
    await sender.ready();
    await sender.demo();
    await sender.learned();
    const things = await loadDemoImages(thingsDirectory);
    const asked = ['pear', 'scissors', 'crown'].map((label) => things.get(label)?.[9] as DemoImage);
    const told: Record<string, number>[] = [];
    for (const { file } of asked) told.push(await sender.predict(file));
    await sender.button('Share a link').click();
    const link = await sender.link();
    // As they are stored they would be 21,000 characters.
    expect(link.length).toBeLessThan(13_000);
    await sender.page.getByText('It is too long for a QR code.').waitFor();
    await sender.page.getByText('some messengers cut it off. The file is safer.').waitFor();
    expect(await violationsOf(sender.page)).toEqual([]);
    const download = sender.page.waitForEvent('download');
    await sender.answer('Save the file');
    expect((await download).suggestedFilename()).toBe('My-project.whet-profile');
    await sender.answer('Done');
    const receiver = new PageDriver(await other.context.newPage());
    await receiver.open(link);
    await receiver.page.getByText('it knows 5 things').waitFor();
    for (const [i, { file }] of asked.entries()) {
      const shown = await receiver.predict(file);
      expect(best(shown)).toBe(best(told[i] as Record<string, number>));
      for (const [name, value] of Object.entries(told[i] ?? {}))
        expect(Math.abs((shown[name] ?? 9) - value)).toBeLessThan(0.05);
    }
    expect(other.problems).toEqual([]);
    await other.context.close();
  });

  it('speaks the language of the browser, or the one that is chosen, and stands from right to left too', async () => {
    const other = await browser.another({ locale: 'de-AT', viewport: { width: 390, height: 844 } });
    const page = await other.context.newPage();
    await page.goto(server.url);
    await page.getByText('Zeig ihm zuerst zwei Dinge.').waitFor({ timeout: 60_000 });
    expect(await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir])).toEqual([
      'de',
      'ltr',
    ]);
    expect(await page.getByLabel('Name von Ding 1').inputValue()).toBe('Ding 1');
    expect(await violationsOf(page)).toEqual([]);
    await page.getByLabel('Sprache').selectOption('es');
    await page.getByText('Muéstrale dos cosas para empezar.').waitFor();
    await page.reload();
    await page.getByText('Muéstrale dos cosas para empezar.').waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await page.evaluate(() => {
      document.documentElement.dir = 'rtl';
    });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    expect(other.problems).toEqual([]);
    await other.context.close();
  });

  it('asks before megabytes are fetched on a metered connection, and not again', async () => {
    const other = await browser.another();
    await other.context.addInitScript(() => {
      Object.defineProperty(navigator, 'connection', { value: { saveData: true } });
    });
    const receiver = new PageDriver(await other.context.newPage());
    const before = server.requests.length;
    await receiver.page.goto(server.url);
    await receiver.page.getByRole('heading', { name: 'You are on mobile data' }).waitFor();
    expect(await violationsOf(receiver.page)).toEqual([]);
    expect(server.requests.slice(before).filter(({ url }) => /sha256=/.test(url))).toEqual([]);
    await receiver.button('Download now').click();
    await receiver.ready();
    await receiver.page.getByText('it works without a network').waitFor();
    await receiver.page.reload();
    await receiver.ready();
    expect(other.problems).toEqual([]);
    await other.context.close();
  });

  it('says of a project of something else, of a newer version or not whole what is wrong', async () => {
    const files = unzipSync(project);
    const about = JSON.parse(strFromU8(files['project.json'] as Uint8Array)) as Record<string, unknown>;
    const first = Object.keys(files).find((path) => path.startsWith('pictures/')) as string;
    const but = (changed: Record<string, unknown>) =>
      zipSync({ ...files, 'project.json': strToU8(JSON.stringify({ ...about, ...changed })) });
    const { [first]: _, ...incomplete } = files;
    for (const [name, bytes, problem] of [
      ['letters.zip', zipSync({ 'a.txt': strToU8('Dear') }), 'it is nothing that was saved here'],
      ['newer.zip', but({ format: 'whet-project/9' }), 'it was saved by a newer version of this page'],
      ['odd.zip', but({ classes: [{}] }), 'parts of it are missing or damaged'],
      ['photos.zip', but({ form: '[]' }), 'its pictures are for another model, “drawn”'],
      ['part.zip', zipSync(incomplete), 'parts of it are missing or damaged'],
      ['pixel.zip', zipSync({ ...files, [first]: ONE_PIXEL }), 'parts of it are missing or damaged'],
    ] as const) {
      await driver.openFile(name, bytes);
      await driver.problem(`${name} was not opened: ${problem}`);
    }
    expect(await driver.page.locator('.people option').allInnerTexts()).toEqual(['Signs']);
    expect(browser.problems).toEqual([]);
  });
});

/** A page that was written, its model and its WebAssembly as they are once unpacked: programs that compress differ in bytes. */
const unpacked = (html: string): string =>
  html.replace(/(id="(?:wasm|model)">)([^<]+)/g, (_, tag: string, packed: string) => {
    const bytes = gunzipSync(Buffer.from(packed, 'base64'));
    return `${tag}${createHash('sha256').update(bytes).digest('hex')}`;
  });

/** A PNG of one pixel. */
const ONE_PIXEL = Uint8Array.from(
  atob('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='),
  (character) => character.charCodeAt(0),
);
