import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type HtmlTexts, sizeProblem, writeHtml } from '@whet/runtime/html';
import { decodeImage } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
import { chromiumPath, openBrowser, skipReason } from '@whet/tools/page/browser';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { photographs } from '../bundle/photographs.js';
import { writeGratings } from './drawn-classes.js';
import { runWhet } from './whet-process.js';

declare global {
  /** Lets the picture be decoded that waits. */
  var goOn: (() => void) | undefined;
}

let cwd: string;
const whet = (...args: string[]) => runWhet(cwd, args);
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'whet-cli-freeze-'));
  await writeFile(join(cwd, 'plain.onnx'), photographs(3).model);
  await writeGratings(join(cwd, 'data'), { day: 2 }, { images: 4, first: 60 });
  for (const out of ['b', 'other']) {
    const more = out === 'b' ? [] : ['--head', 'prototype'];
    const { code, err } = await whet('compile', 'plain.onnx', '--out', out, ...more);
    expect([code, err]).toEqual([0, '']);
  }
  const adapted = await whet('adapt', 'b', '--examples', 'data/day', '--out', 'me.profile');
  expect(adapted.code, adapted.err).toBe(0);
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

describe('whet freeze', () => {
  it('writes a profile as one model, whose frozen part the exporter wrote, and says what that takes and tells', async () => {
    const { code, out, err } = await whet('freeze', 'b', '--profile', 'me.profile', '--out', 'me.onnx');
    expect(code, err).toBe(0);
    expect(out).toMatch(/^me\.onnx: [\d.]+ kB, "images" \[N, 1, 8, 8\], preprocessed as its metadata says\n/);
    expect(out).toContain('"probabilities" [N, 2]: class-60, class-61\n');
    const session = await ort.InferenceSession.create(await readFile(join(cwd, 'me.onnx')));
    const { probabilities } = await session.run({ images: new ort.Tensor(new Float32Array(64), [1, 1, 8, 8]) });
    await session.release();
    expect(probabilities?.dims).toEqual([1, 2]);
  });

  it('writes one that takes pixels', async () => {
    const { out } = await whet('freeze', 'b', '--profile', 'me.profile', '--out', 'pixels.onnx', '--pixels');
    expect(out).toContain('"pixels" [N, height, width, 1], bytes of any size, brought to 8 x 8 as a whole');
    const session = await ort.InferenceSession.create(await readFile(join(cwd, 'pixels.onnx')));
    const pixels = new ort.Tensor('uint8', new Uint8Array(2 * 20 * 30).fill(90), [2, 20, 30, 1]);
    const { probabilities } = await session.run({ pixels });
    await session.release();
    expect(probabilities?.dims).toEqual([2, 2]);
  });

  it('declares the operator set that is asked for, or says which operators are others there', async () => {
    const asked = ['freeze', 'b', '--profile', 'me.profile', '--pixels', '--out'];
    const images = new ort.Tensor('uint8', new Uint8Array(20 * 30).fill(90), [1, 20, 30, 1]);
    const told = [];
    for (const more of [[], ['--opset', '21']]) {
      const { code, err } = await whet(...asked, 'other.onnx', ...more);
      expect(code, err).toBe(0);
      const session = await ort.InferenceSession.create(await readFile(join(cwd, 'other.onnx')));
      told.push((await session.run({ pixels: images }))['probabilities']?.data);
      await session.release();
    }
    expect(told[1]).toEqual(told[0]);
    const { code, err } = await whet(...asked, 'older.onnx', '--opset', '17');
    expect(code).toBe(1);
    expect(err).toMatch(/^whet: opset 17: expected operators that are as in 18, got .*Resize, which changed in 18/);
    await expect(access(join(cwd, 'older.onnx'))).rejects.toThrow('ENOENT');
  });

  it.skipIf(!chromiumPath)(
    `writes a page that opens from a disk, connects to nothing and tells what \`predict\` does${skipReason}`,
    async () => {
      const { out } = await whet('freeze', 'b', '--profile', 'me.profile', '--html', 'me.html');
      expect(out).toMatch(/^me\.html: [\d.]+ MB, opens in a browser from a disk\nclass-60, class-61\n$/);
      const folder = join(cwd, 'data/day/class-61');
      const [own] = await readdir(folder);
      const photo = join(cwd, 'photo.webp');
      // Larger, of another shape, and of a format for which the script has a part of its own.
      await sharp(join(folder, own as string))
        .resize(300, 200, { fit: 'fill', kernel: 'cubic' })
        .webp({ lossless: true })
        .toFile(photo);
      await writeFile(join(cwd, 'none.png'), 'no picture');
      const bundle = await loadBundle(join(cwd, 'b'), { threads: 1 });
      const profile = bundle.profileFromBytes(await readFile(join(cwd, 'me.profile')));
      const browser = await openBrowser({ context: { offline: true } });
      const { context, problems } = browser;
      const page = await context.newPage();
      const asked: string[] = [];
      page.on('request', (request) => asked.push(request.url()));
      await page.goto(pathToFileURL(join(cwd, 'me.html')).href);
      await page.getByText('Ready', { exact: true }).waitFor();
      for (const file of [join(folder, own as string), photo]) {
        await page.getByLabel('Choose a picture').setInputFiles(file);
        await page.locator('img').waitFor();
        const shown = await page.$$eval('li', (items) =>
          items.map((item) => [item.querySelector('span')?.textContent, item.querySelector('meter')?.value] as const),
        );
        const image = await decodeImage(await readFile(file), bundle.manifest.preprocessing);
        const [told] = await bundle.predict(profile, [image]);
        expect(shown[0]?.[0]).toBe(told?.label);
        for (const [name, share] of shown) {
          const difference = Math.abs((share as number) - (told?.probabilities[name as string] as number));
          // The same pixels; resized by two libraries.
          expect(difference).toBeLessThan(file === photo ? 1e-3 : 1e-5);
        }
      }
      await page.evaluate(() => {
        const decode = globalThis.createImageBitmap;
        globalThis.createImageBitmap = async (...asked: unknown[]) => {
          globalThis.createImageBitmap = decode;
          await new Promise<void>((resolve) => {
            globalThis.goOn = resolve;
          });
          return Reflect.apply(decode, globalThis, asked) as Promise<ImageBitmap>;
        };
      });
      const [slow] = await readdir(join(cwd, 'data/day/class-60'));
      await page.getByLabel('Choose a picture').setInputFiles(join(cwd, 'data/day/class-60', slow as string));
      await page.waitForFunction(() => globalThis.goOn !== undefined);
      expect(await page.locator('#state').textContent()).toBe('');
      await page.getByLabel('Choose a picture').setInputFiles(photo);
      await page.locator('img').waitFor();
      const answered = await page.locator('#state').textContent();
      expect(answered).toMatch(/^class-61, \d+ %$/);
      await page.evaluate(async () => {
        globalThis.goOn?.();
        await new Promise((resolve) => setTimeout(resolve, 300));
      });
      expect(await page.locator('#state').textContent()).toBe(answered);
      await page.getByLabel('Choose a picture').setInputFiles(join(cwd, 'none.png'));
      await page.getByRole('alert').waitFor();
      expect(await page.getByRole('alert').textContent()).toBe('This picture cannot be read.');
      expect(await page.locator('#reason').textContent()).toMatch(/^picture: expected a PNG, .*not an image$/);
      const connects = await page.evaluate(() =>
        fetch('data:,x').then(
          () => true,
          () => false,
        ),
      );
      expect([connects, asked.filter((url) => !/^(file|blob):/.test(url))]).toEqual([false, []]);
      expect(problems.filter((text) => !/Content Security Policy|data:,x/.test(text))).toEqual([]);
      await browser.close();
      await bundle.release();
    },
  );

  it.skipIf(!chromiumPath)(
    `writes a page in a language from the right, which tells a picture that fails from one that cannot be read, and says that it does not start${skipReason}`,
    async () => {
      const bundle = await loadBundle(join(cwd, 'b'), { preload: false });
      await whet('freeze', 'b', '--profile', 'me.profile', '--out', 'inside.onnx', '--pixels');
      const model = await readFile(join(cwd, 'inside.onnx'));
      const { preprocessing } = bundle.manifest;
      await bundle.release();
      const names = 'title intro choose take gettingReady ready picture answers unreadable cannotStart failed noScript';
      const texts = Object.fromEntries(names.split(' ').map((name) => [name, `of ${name}`])) as unknown as HtmlTexts;
      const read = (name: string) => readFile(fileURLToPath(import.meta.resolve(name)));
      const wasm = await read('onnxruntime-web/ort-wasm-simd-threaded.wasm');
      const script = String(await read('@whet/runtime/html-script.js'));
      const parts = { classes: ['a', 'b'], preprocessing, model, script, wasm };
      // Another number of channels than the model takes.
      const fails = { ...parts, preprocessing: { ...preprocessing, channels: 3 } };
      const browser = await openBrowser({ context: { offline: true } });
      const page = await browser.context.newPage();
      const open = async (of: typeof parts, language: string) => {
        const { html } = await writeHtml({ ...of, texts: { ...texts, language } });
        await writeFile(join(cwd, 'fails.html'), html);
        await page.goto(pathToFileURL(join(cwd, 'fails.html')).href);
        return page.locator('html').getAttribute('dir');
      };
      const problem = async () => {
        await page.getByRole('alert').waitFor();
        return [await page.getByRole('alert').textContent(), await page.locator('#reason').textContent()];
      };
      expect(await open(fails, 'ar-EG')).toBe('rtl');
      await page.getByText('of ready', { exact: true }).waitFor();
      const file = join(cwd, 'grey.png');
      await sharp({ create: { width: 8, height: 8, channels: 3, background: 'grey' } }).toFile(file);
      await page.getByLabel('of choose').setInputFiles(file);
      expect(await problem()).toEqual(['of failed', expect.stringContaining('pixels')]);
      expect(await open({ ...parts, model: Buffer.alloc(9) }, 'sr-Latn')).toBe('ltr');
      expect(await problem()).toEqual(['of cannotStart', expect.stringMatching(/./)]);
      await browser.close();
      await expect(open(parts, 'no language')).rejects.toThrow(
        'texts.language: expected a language, as in "de", got "no language"',
      );
    },
  );

  it.each(['</script', '</SCRIPT >', '<!--'])('makes no page of a script that holds %s', async (ends) => {
    const parts = { classes: ['a', 'b'], model: new Uint8Array(1), wasm: new Uint8Array(1) };
    const bundle = await loadBundle(join(cwd, 'b'), { preload: false });
    const { preprocessing } = bundle.manifest;
    await bundle.release();
    await expect(writeHtml({ ...parts, preprocessing, script: `"a"; "${ends}"` })).rejects.toThrow(
      `script: expected no </script and no <!--, got ${JSON.stringify(`"a"; "${ends}"`)} at 6`,
    );
  });

  it('says what makes a page smaller that is too large for mail', () => {
    expect(sizeProblem({ all: 25_000_000, model: 19_000_000, wasm: 5_000_000 })).toBeUndefined();
    expect(sizeProblem({ all: 31_200_000, model: 26_000_000, wasm: 5_000_000 })).toMatch(
      /^31\.2 MB are more than the 25 MB that mail takes: 26\.0 MB of them are the model, .* `whet compile --quantize int8`/,
    );
  });

  it('writes the model beside a page where it says where to', async () => {
    const asked = ['--html', 'both.html', '--out', 'both.onnx'];
    const { code, out, err } = await whet('freeze', 'b', '--profile', 'me.profile', ...asked);
    expect(code, err).toBe(0);
    expect(out).toMatch(/^both\.html: .*\n.*\nboth\.onnx: [\d.]+ kB, "images" \[N, 1, 8, 8\]/);
    await Promise.all(['both.html', 'both.onnx'].map((file) => access(join(cwd, file))));
    await expect(access(join(cwd, 'model.onnx'))).rejects.toThrow('ENOENT');
  });

  it.each(['--out', '--html'])('says that a folder of %s is not there', async (option) => {
    const { code, err } = await whet('freeze', 'b', '--profile', 'me.profile', option, 'nowhere/me');
    expect(code).toBe(1);
    expect(err).toContain('nowhere/me: expected a folder that can be written to, got ENOENT');
  });

  it('names a profile of another bundle, and one that is not there', async () => {
    const other = await whet('freeze', 'other', '--profile', 'me.profile');
    expect([other.code === 0, other.err]).toEqual([
      false,
      expect.stringContaining('profile: made with another bundle'),
    ]);
    const none = await whet('freeze', 'b', '--profile', 'none.profile');
    expect(none.err).toContain('none.profile: expected a profile of `whet adapt`, got no such file');
  });
});
