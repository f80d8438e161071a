import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { headersOf } from '@whet/page';
import { Profile } from '@whet/runtime';
import { decodePixels } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
import { randomImages, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { chromiumPath, openBrowser, skipReason, type TestBrowser } from '@whet/tools/page/browser';
import { PageDriver } from '@whet/tools/page/driver';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** One program for all; each test has a browser in it that has never seen anything. */
let browser: TestBrowser;
/** A bundle without a dense pattern, which the page would measure after each adaptation. */
let folder: string;
let server: PageServer;
beforeAll(async () => {
  if (!chromiumPath) return;
  folder = await partOfBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), ['head']);
  server = await startPageServer(folder);
  // It has a camera.
  browser = await openBrowser({ compileOnce: true, arguments: ['--use-fake-device-for-media-stream'] });
});
afterAll(async () => {
  await browser?.close();
  await server?.close();
  if (folder) await rm(folder, { recursive: true });
});

describe.skipIf(!chromiumPath)(`what the page says of bad input${skipReason}`, () => {
  let driver: PageDriver;

  beforeAll(async () => {
    driver = new PageDriver(await browser.context.newPage());
    await driver.open(server.url);
    await driver.source('Picture');
  });
  afterAll(() => driver?.page.close());
  const upload = async (name: string, buffer: Buffer) => {
    await driver.page.getByLabel('Picture to ask about').setInputFiles({ name, mimeType: 'image/png', buffer });
  };

  it.each([
    [
      'notes.png',
      Buffer.from('meeting at nine'),
      /notes\.png: expected a PNG, .* got 15 bytes that are not an image/,
      'notes.png is no picture that can be read. PNG, JPEG and WebP are.',
    ],
    ['empty.png', Buffer.alloc(0), /empty\.png: expected a PNG, .* got no bytes/, 'empty.png is empty.'],
    [
      'IMG_0001.HEIC',
      Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'),
      /IMG_0001\.HEIC: this browser cannot read HEIC images; save it as JPEG or PNG first/,
      'IMG_0001.HEIC is of a kind that this browser cannot read: save it as JPEG or PNG first.',
    ],
    [
      'drawing.svg',
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
      /drawing\.svg: expected .* got a drawing in SVG/,
      'drawing.svg is a drawing in SVG: save it as PNG first.',
    ],
  ])('%s', async (name, buffer, expected, plain) => {
    await upload(name, buffer);
    const notice = driver.page.locator('.notice.problem', { hasText: expected });
    await notice.waitFor();
    // In plain words; what the decoder said is folded.
    const [words, said] = [await notice.innerText(), await notice.textContent()];
    expect([words.split('\n')[0], said?.match(expected)?.[0]]).toEqual([plain, expect.any(String)]);
    expect(words).not.toMatch(expected);
    await driver.button('Close this message').click();
  });

  it('a picture that is cut short', async () => {
    const whole = await sharp({ create: { width: 60, height: 60, channels: 3, background: 'white' } })
      .png()
      .toBuffer();
    await upload('cut.png', whole.subarray(0, 40));
    await driver.page.locator('.notice.problem', { hasText: 'cut.png: expected a whole PNG image' }).waitFor();
    await driver.button('Close this message').click();
  });

  it('a photo of 108 megapixels, the most that phones take, is reduced, one of 150 is refused before it is decoded', async () => {
    const photo = (width: number, height: number) =>
      sharp({ create: { width, height, channels: 3, background: '#ffffff' }, limitInputPixels: false })
        .composite([
          {
            input: {
              create: { width: Math.floor(width / 3), height: Math.floor(height / 2), channels: 3, background: '#000' },
            },
            left: 0,
            top: 0,
          },
        ])
        .toColourspace('b-w')
        .jpeg({ quality: 60 })
        .toBuffer();
    await upload('photo.jpg', await photo(12_000, 9000));
    const seen = driver.page.getByRole('img', { name: 'The picture as it is seen' });
    await seen.waitFor({ timeout: 60_000 });
    const pixels = await seen.evaluate((canvas: HTMLCanvasElement) => {
      const { data } = (canvas.getContext('2d') as CanvasRenderingContext2D).getImageData(0, 0, 28, 28);
      return [data[(6 * 28 + 4) * 4], data[(6 * 28 + 20) * 4], data[(20 * 28 + 4) * 4]];
    });
    expect(pixels).toEqual([0, 255, 255]);
    // Its header is enough: nothing behind it is looked at.
    const huge = (
      await sharp({ create: { width: 9, height: 9, channels: 3, background: 'white' } })
        .png()
        .toBuffer()
    ).subarray();
    huge.writeUInt32BE(15_000, 16);
    huge.writeUInt32BE(10_000, 20);
    await upload('huge.png', huge);
    const expected = 'huge.png: expected at most 120000000 pixels, got 15000 x 10000 = 150000000';
    await driver.page.locator('.notice.problem', { hasText: expected }).waitFor();
    await driver.button('Close this message').click();
  });

  it.each([
    ['png', 6],
    ['jpeg', 6],
    ['jpeg', 7],
    ['webp', 2],
    ['webp', 3],
    ['webp', 4],
    ['webp', 5],
    ['webp', 6],
    ['webp', 7],
    ['webp', 8],
  ] as const)('a %s on its side, EXIF orientation %i: upright, as in Node.js', async (format, orientation) => {
    // No two of its quarters are alike.
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="80" height="60"><rect width="100%" height="100%" fill="#fff"/>
      <rect width="40" height="30"/><rect x="40" width="40" height="30" fill="#666"/><rect y="30" width="40" height="30" fill="#bbb"/></svg>`;
    const options = format === 'webp' ? { lossless: true } : {};
    const file = await sharp(Buffer.from(svg)).toFormat(format, options).withMetadata({ orientation }).toBuffer();
    const { width, height } = server.bundle.manifest.preprocessing;
    await upload(`turned.${format}`, file);
    const seen = driver.page.getByRole('img', { name: 'The picture as it is seen' });
    await seen.waitFor();
    const expected = await decodePixels(file, server.bundle.manifest.preprocessing);
    await expect
      .poll(async () => {
        const found = await seen.evaluate(
          (canvas: HTMLCanvasElement, [w, h]) => {
            // A copy that is made for reading: the browser warns of canvases on screen that are read often.
            const copy = new OffscreenCanvas(w, h).getContext('2d', { willReadFrequently: true });
            copy?.drawImage(canvas, 0, 0);
            return [...(copy?.getImageData(0, 0, w, h).data ?? [])];
          },
          [width, height] as const,
        );
        return Math.max(...expected.map((value, i) => Math.abs(value - (found[i * 4] ?? 999))));
      })
      .toBeLessThanOrEqual(8);
  });

  it('a file that is no profile, and a profile of another bundle', async () => {
    await driver.openFile('letter.txt', new TextEncoder().encode('Dear friend, '.repeat(9)));
    await driver.page
      .locator('.notice.problem', {
        hasText: /letter\.txt was not opened: it is nothing that was saved here, or it is damaged\..*profile: /,
      })
      .waitFor();
    const other = await loadBundle(await writeTinyBundle());
    const examples = randomImages('page', 4).map((image, i) => ({ label: `${i % 2}`, image }));
    const { profile } = await other.adapt(examples, { steps: 1 });
    await other.release();
    const foreign = profile.toBytes();
    await driver.openFile('other.whet-profile', foreign);
    const expected =
      /other\.whet-profile was not opened: it is for another model, or another version of this one\..*profile: made with another bundle: expected \w+\.\.\., got \w+/;
    await driver.page.locator('.notice.problem', { hasText: expected }).waitFor();
    await driver.button('Close this message').click();
    const newer = Buffer.from(foreign);
    newer.write('whet-profile-2', newer.indexOf('whet-profile-1'));
    await driver.openFile('newer.whet-profile', newer);
    await driver.problem(
      /newer\.whet-profile was not opened: it was saved by a newer version.*expected format "whet-profile-1", got "whet-profile-2"/,
    );
    const { width } = server.bundle.manifest.preprocessing;
    const own = randomImages('alike', 2, width).map((image, i) => ({ label: `${i}`, image }));
    const { bundle, pattern, values } = (await server.bundle.adapt(own, { steps: 0 })).profile;
    const alike = new Profile(bundle, pattern, ['caf\u00e9', 'cafe\u0301'], [1, 1], 0, values);
    await driver.openFile('alike.whet-profile', alike.toBytes());
    const differ =
      /alike\.whet-profile was not opened: names of its things look the same.*expected names that differ to the eye/;
    await driver.page.locator('.notice.problem', { hasText: differ }).waitFor();
    await driver.button('Close this message').click();
    expect(await driver.page.locator('.people option').allInnerTexts()).toEqual(['My project']);
  });

  it('a thing without a name, and one whose name is taken', async () => {
    const square = await sharp({ create: { width: 28, height: 28, channels: 3, background: 'black' } })
      .png()
      .toBuffer();
    for (const name of ['one', 'two'])
      await driver.addThing(name, [{ name: 'square.png', mimeType: 'image/png', buffer: square }]);
    for (const [name, problem] of [
      ['', 'Give it a name first.'],
      ['one', 'There is a “one” already.'],
      ['o\u200bne', 'There is a “o\u200bne” already.'],
      ['o\u0007ne', 'A name has at most 256 bytes and no control characters.'],
    ] as const) {
      await driver.name('two', name);
      await driver.page.locator('.notice.problem', { hasText: problem }).waitFor();
      expect(await driver.page.getByLabel('Name of two').inputValue()).toBe('two');
    }
  });

  it('no permission for the camera', async () => {
    await driver.source('Camera');
    await driver.button('Start the camera').click();
    await driver.page
      .getByRole('alert')
      .filter({ hasText: 'The camera was not allowed. Allow it in the browser’s settings for this page' })
      .waitFor();
  });

  it('a camera that is allowed then: predicts what it sees, live', async () => {
    await browser.context.grantPermissions(['camera']);
    // As where a question for permission is open meanwhile: the first two are answered when the test says so.
    await driver.page.evaluate(() => {
      const tracks: MediaStreamTrack[] = [];
      const answers: (() => void)[] = [];
      Object.assign(globalThis, { tracks, answers });
      const ask = MediaDevices.prototype.getUserMedia;
      MediaDevices.prototype.getUserMedia = async function (constraints) {
        if (answers.length < 2) await new Promise<void>((resolve) => void answers.push(resolve));
        const stream = await ask.call(this, constraints);
        tracks.push(...stream.getTracks());
        return stream;
      };
    });
    const answer = (index: number) =>
      driver.page.evaluate((i) => (globalThis as unknown as { answers: (() => void)[] }).answers[i]?.(), index);
    const states = () =>
      driver.page.evaluate(() =>
        (globalThis as unknown as { tracks: MediaStreamTrack[] }).tracks.map(({ readyState }) => readyState),
      );
    // Pressed twice before the page can take the button away: of the first nothing stays on.
    await driver.button('Start the camera').evaluate((button: HTMLButtonElement) => {
      button.click();
      button.click();
    });
    expect(await driver.button('Starting the camera').isDisabled()).toBe(true);
    await answer(1);
    await expect.poll(states).toHaveLength(1);
    await answer(0);
    await driver.page.locator('.frame.on').waitFor({ timeout: 30_000 });
    await expect.poll(async () => (await states()).sort()).toEqual(['ended', 'live']);
    await driver.page.locator('.prediction').waitFor();
    // Pressed and let go at once: one picture.
    const before = await driver.card('one').locator('.thumb').count();
    await driver.button('Hold to record one').click();
    await driver.card('one').locator('.thumb').nth(before).waitFor();
    await driver.button('Stop the camera').click();
    expect(await states()).toEqual(['ended', 'ended']);
    // A frame that is under way when the camera is left is not what is drawn.
    await driver.button('Start the camera').click();
    await driver.page.locator('.frame.on').waitFor();
    await driver.page.evaluate(() => {
      const whole = createImageBitmap;
      globalThis.createImageBitmap = (async (image: HTMLVideoElement) => {
        const bitmap = await whole(image);
        await new Promise((resolve) => setTimeout(resolve, 400));
        return bitmap;
      }) as typeof createImageBitmap;
    });
    await driver.page.waitForTimeout(700);
    await driver.source('Draw');
    await driver.page.waitForTimeout(700);
    expect(await driver.page.locator('.prediction').count()).toBe(0);
    expect(await states()).toEqual(['ended', 'ended', 'ended']);
    // Nothing of all this was an error of the page.
    expect(browser.problems).toEqual([]);
  });
});

describe.skipIf(!chromiumPath)(`the page where storage fails${skipReason}`, () => {
  it.each([
    [
      'denied',
      () => {
        Object.defineProperty(globalThis, 'indexedDB', {
          value: {
            open() {
              throw new DOMException('The user denied permission to access the database.', 'SecurityError');
            },
          },
        });
      },
      'The user denied permission',
    ],
    [
      'full',
      () => {
        IDBObjectStore.prototype.put = () => {
          throw new DOMException('no room', 'QuotaExceededError');
        };
      },
      'the storage of this browser is full',
    ],
  ])('%s: goes on in memory and says so', async (_, breakStorage, reason) => {
    const { context, problems } = await browser.another();
    await context.addInitScript(breakStorage);
    const driver = new PageDriver(await context.newPage());
    await driver.open(server.url);
    await driver.page.locator('.banner', { hasText: 'Nothing is kept after this page is closed' }).waitFor();
    expect(await driver.page.locator('.banner').textContent()).toContain(reason);
    await driver.demo();
    expect(await driver.learned()).toContain('Learned from 25 pictures');
    expect(server.bundle.profileFromBytes(await driver.save()).classes).toHaveLength(5);
    expect(problems).toEqual([]);
    await context.close();
  });
});

describe.skipIf(!chromiumPath)(`the page with a damaged bundle${skipReason}`, () => {
  it('names the file and what was expected, and fetches it again when told to, past all caches', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'whet-damaged-'));
    const directory = join(parent, OMNIGLOT_BUNDLE);
    await cp(folder, directory, { recursive: true });
    const server = await startPageServer(directory);
    const file = join(directory, 'head.encode.onnx');
    const whole = await readFile(file);
    await writeFile(file, Buffer.from(whole.map((byte, i) => (i === 5000 ? byte ^ 1 : byte))));
    // A host that lets browsers keep files for an hour, and no service worker to go past them.
    server.meddle = (request, response) => {
      if (/loader-/.test(request.url ?? '')) {
        response.writeHead(404).end();
        return true;
      }
      if (!request.url?.includes('head.encode.onnx')) return false;
      const headers = { ...headersOf('bundles/'), 'Cache-Control': 'public, max-age=3600' };
      void readFile(file).then((bytes) => response.writeHead(200, headers).end(bytes));
      return true;
    };
    const { context, problems } = await browser.another({ serviceWorkers: 'block' });
    const driver = new PageDriver(await context.newPage());
    await driver.page.goto(server.url);
    const alert = driver.page.getByRole('alert').filter({ hasText: 'could not be loaded' });
    await alert.waitFor({ timeout: 60_000 });
    // Without the script of the worker that fetches nothing else would ever come.
    expect(await alert.innerText()).toContain('the worker that fetches the model does not start');
    const damaged = server.meddle;
    server.meddle = (request, response) => {
      if (!request.url?.includes('bundles/index.json')) return false;
      response.writeHead(200, headersOf('bundles/')).end('{"bundles":[]}');
      return true;
    };
    await driver.button('Fetch it again').click();
    await alert.filter({ hasText: 'expected a bundle beside the page, got none' }).waitFor();
    problems.length = 0;
    server.meddle = (request, response) => !/loader-/.test(request.url ?? '') && damaged(request, response);
    await driver.button('Fetch it again').click();
    await alert.filter({ hasText: 'SHA-256' }).waitFor({ timeout: 60_000 });
    expect(await alert.innerText()).toMatch(/head\.encode\.onnx: SHA-256: expected [0-9a-f]{64}, got [0-9a-f]{64}/);
    await writeFile(file, whole);
    await driver.button('Fetch it again').click();
    await driver.ready();
    expect(problems).toEqual([]);
    await context.close();
    await server.close();
    await rm(parent, { recursive: true });
  });
});

/** An address of this machine that browsers do not take for their own. */
const address = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === 'IPv4' && !one.internal)?.address;

describe.skipIf(!chromiumPath || !address)(`the page over plain HTTP from another machine${skipReason}`, () => {
  it('adapts all the same, and says what is missing', async () => {
    const server = await startPageServer(folder, '0.0.0.0');
    const { context } = await browser.another();
    const driver = new PageDriver(await context.newPage());
    await driver.open(server.url.replace('0.0.0.0', address as string));
    expect(await driver.page.evaluate(() => [isSecureContext, crossOriginIsolated])).toEqual([false, false]);
    await driver.demo();
    expect(await driver.learned()).toContain('Learned from 25 pictures');
    await driver.page.getByText('This page came over plain HTTP').waitFor();
    await driver.source('Camera');
    await driver.button('Start the camera').click();
    await driver.page.getByRole('alert').filter({ hasText: 'over HTTPS only' }).waitFor();
    await context.close();
    await server.close();
  });
});
