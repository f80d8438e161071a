import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundlesDirectory, OMNIGLOT_BUNDLE, PHOTOS_BUNDLE } from '@whet/models';
import { decodeImage } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
import { charactersDirectory, loadDemoImages, thingsDirectory } from '@whet/tools/demo/demo-images';
import { chromiumPath, openBrowser, skipReason } from '@whet/tools/page/browser';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveBuilt } from '../browser/built-app.js';
import { photographs } from '../bundle/photographs.js';
import { compileBytes } from '../compile/compile-helpers.js';
import { lacking } from '../needs.js';
import { java, python, runs } from './languages.js';

declare global {
  /** Makes the pictures of a camera readable again. */
  var mend: () => void;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const examples = join(root, 'examples');
const bundle = join(bundlesDirectory, OMNIGLOT_BUNDLE);
const CLASSES = ['plus', 'percent', 'dollar'];
let directory: string;

/** Demo images of some classes in folders; returns their files. */
async function copyImages(into: string, from: number, to: number): Promise<string[]> {
  const demo = await loadDemoImages(charactersDirectory);
  const files: string[] = [];
  for (const label of CLASSES) {
    await mkdir(join(into, label), { recursive: true });
    for (const { file: own } of (demo.get(label) ?? []).slice(from, to)) {
      const file = join(into, label, basename(own));
      await cp(own, file);
      files.push(file);
    }
  }
  return files;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'whet-examples-'));
});
afterAll(() => rm(directory, { recursive: true }));

describe('examples/onnxruntime-alone', () => {
  it('adapts and predicts without any code of Whet', async () => {
    const script = join(examples, 'onnxruntime-alone/run.mjs');
    expect(await readFile(script, 'utf8')).not.toMatch(/@whet|\.\.\/\.\./);
    const [support, query] = [join(directory, 'support'), join(directory, 'query')];
    await copyImages(support, 0, 3);
    const queries = await copyImages(query, 3, 9);
    const { stdout } = await promisify(execFile)(process.execPath, [script, bundle, support, query]);
    const lines = stdout.trim().split('\n');
    expect(lines).toHaveLength(queries.length);
    expect(lines.filter((line) => /: (\S+) \(\1\)$/.test(line)).length / lines.length).toBeGreaterThan(0.9);
  });
});

describe.skipIf(!python.isThere)(
  `examples/python${lacking({ 'onnxruntime, numpy and pillow in Python': python.isThere })}`,
  () => {
    const run = async (script: string, ...args: string[]): Promise<Record<string, unknown>[]> => {
      const file = join(examples, 'python', script);
      const { stdout } = await promisify(execFile)('python3', [file, ...args], { env: python.env, maxBuffer: 1e8 });
      return stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    };

    it.each([
      [OMNIGLOT_BUNDLE, 'head', charactersDirectory, 4],
      [OMNIGLOT_BUNDLE, 'sparse', charactersDirectory, 4],
      [OMNIGLOT_BUNDLE, 'full', charactersDirectory, 4],
      [PHOTOS_BUNDLE, 'head', thingsDirectory, 4],
    ])('adapts %s, %s, with the losses of Node, and predicts', async (name, pattern, demo, digits) => {
      const place = join(bundlesDirectory, name);
      const folder = join(directory, `python-${name}-${pattern}`);
      const images = await loadDemoImages(demo);
      const classes = [...images.keys()].slice(0, 3);
      const bundle = await loadBundle(place, { patterns: [pattern], threads: 1 });
      const taught: { label: string; image: Float32Array }[] = [];
      for (const label of classes) {
        for (const [i, { file }] of (images.get(label) ?? []).slice(0, 8).entries()) {
          const into = join(folder, i < 5 ? 'support' : 'query', label);
          await mkdir(into, { recursive: true });
          await cp(file, join(into, basename(file)));
          if (i < 5)
            taught.push({ label, image: await decodeImage(await readFile(file), bundle.manifest.preprocessing) });
        }
      }
      const [answer] = await run('whet.py', place, join(folder, 'support'), join(folder, 'query'), pattern);
      const { losses, right } = answer as { losses: number[]; right: number };
      const sorted = taught.sort((a, b) => (a.label < b.label ? -1 : a.label > b.label ? 1 : 0));
      const expected = await bundle.adapt(sorted, { pattern, always: true });
      await bundle.release();
      expect(right).toBeGreaterThanOrEqual(8);
      const own = expected.loss === undefined ? expected.losses : [...expected.losses, expected.loss];
      expect(losses).toHaveLength(own.length);
      for (const [i, loss] of own.entries()) {
        expect(Math.abs((losses[i] as number) - loss)).toBeLessThan(10 ** -digits * Math.abs(loss) + 1e-7);
      }
    });

    it('takes steps by prototypes with Adam, and solves for the head behind them, with the losses of Node', async () => {
      const { model, pictures } = photographs(5);
      const compiled = await compileBytes(model, { patterns: { last: ['last:1'] }, rate: 0.01 });
      const place = compiled.directory;
      const bundle = await loadBundle(place, { threads: 1 });
      const folder = join(directory, 'python-prototypes');
      const taught: { label: string; image: Float32Array }[] = [];
      for (const [i, { label, image }] of pictures({ a: 8, b: 8, c: 8 }).entries()) {
        const into = join(folder, i % 8 < 5 ? 'support' : 'query', label);
        await mkdir(into, { recursive: true });
        const file = join(into, `${i % 8}.png`);
        const pixels = Uint8Array.from(image, (value) => Math.max(0, Math.min(255, 128 + 50 * value)));
        await sharp(pixels, { raw: { width: 8, height: 8, channels: 1 } })
          .png()
          .toFile(file);
        if (i % 8 < 5)
          taught.push({ label, image: await decodeImage(await readFile(file), bundle.manifest.preprocessing) });
      }
      const [answer] = await run('whet.py', place, join(folder, 'support'), join(folder, 'query'), 'last');
      const { losses, right } = answer as { losses: number[]; right: number };
      const expected = await bundle.adapt(taught, { pattern: 'last', always: true });
      await bundle.release();
      expect(right).toBeGreaterThan(4);
      const own = [...expected.losses, expected.loss as number];
      expect(own).toHaveLength(11);
      expect(losses).toHaveLength(own.length);
      for (const [i, loss] of own.entries()) expect(Math.abs((losses[i] as number) - loss)).toBeLessThan(1e-4 * loss);
    });

    it('adapts the last block of photographs', async () => {
      const images = await loadDemoImages(thingsDirectory);
      const folder = join(directory, 'python-block');
      for (const label of [...images.keys()].slice(0, 3)) {
        for (const [i, { file }] of (images.get(label) ?? []).slice(0, 8).entries()) {
          const into = join(folder, i < 5 ? 'support' : 'query', label);
          await mkdir(into, { recursive: true });
          await cp(file, join(into, basename(file)));
        }
      }
      const place = join(bundlesDirectory, PHOTOS_BUNDLE);
      const [answer] = await run('whet.py', place, join(folder, 'support'), join(folder, 'query'), 'block');
      const { losses, right } = answer as { losses: number[]; right: number };
      expect(right).toBeGreaterThanOrEqual(8);
      expect(losses).toHaveLength(11);
      for (const [i, loss] of losses.entries()) expect(loss).toBeLessThanOrEqual((losses[i - 1] ?? loss) * 1.0001);
    });

    it('classifies by a profile that is one model, as Node does', async () => {
      const place = join(bundlesDirectory, PHOTOS_BUNDLE);
      const images = await loadDemoImages(thingsDirectory);
      const bundle = await loadBundle(place, { patterns: ['head'], threads: 1 });
      const classes = [...images.keys()].slice(0, 3);
      const examples = [];
      for (const label of classes) {
        for (const { file } of (images.get(label) ?? []).slice(0, 5)) {
          examples.push({ label, image: await decodeImage(await readFile(file), bundle.manifest.preprocessing) });
        }
      }
      const { profile } = await bundle.adapt(examples, { pattern: 'head' });
      const model = join(directory, 'frozen.onnx');
      const frozen = await bundle.freeze(profile, { input: 'pixels' });
      await writeFile(model, frozen);
      const asked = classes.map((label) => (images.get(label) ?? [])[6]?.file as string);
      const answers = await run('frozen.py', model, ...asked);
      expect(answers.map((each) => each['class'])).toEqual(classes);
      const session = await ort.InferenceSession.create(frozen, { intraOpNumThreads: 1 });
      for (const [i, file] of asked.entries()) {
        const { data, info } = await sharp(file)
          .removeAlpha()
          .toColourspace('srgb')
          .raw()
          .toBuffer({ resolveWithObject: true });
        const pixels = new ort.Tensor('uint8', new Uint8Array(data), [1, info.height, info.width, 3]);
        const { probabilities } = await session.run({ pixels });
        const came = answers[i]?.['probabilities'] as number[];
        // Lossy pictures are decoded by two libraries.
        for (const [at, value] of Array.from((probabilities as ort.Tensor).data as Float32Array).entries()) {
          expect(came[at]).toBeCloseTo(value, 3);
        }
      }
      await session.release();
      await bundle.release();
    });
  },
);

const rust = join(examples, 'rust/target/debug/whet-example');
const library = join(
  dirname(fileURLToPath(import.meta.resolve('onnxruntime-node/package.json'))),
  `bin/napi-v6/${process.platform}/${process.arch}/libonnxruntime.so.1`,
);

describe.each([
  {
    language: 'java',
    needs: { 'Java that has built it': java.isThere },
    program: 'java',
    first: ['-cp', java.classPath, 'whet.Main'],
  },
  {
    language: 'rust',
    needs: { 'Rust that has built it': existsSync(rust), 'onnxruntime as a library': existsSync(library) },
    program: rust,
    first: [],
  },
])('another language', ({ language, needs, program, first }) => {
  describe.skipIf(Object.values(needs).includes(false))(`examples/${language}${lacking(needs)}`, () => {
    it.each(['head', 'sparse', 'full'])('adapts %s with the losses of Node, and predicts', async (pattern) => {
      const folder = join(directory, `${language}-${pattern}`);
      const [support, query] = [join(folder, 'support'), join(folder, 'query')];
      await copyImages(support, 0, 5);
      await copyImages(query, 5, 9);
      const { stdout } = await promisify(execFile)(program, [...first, bundle, support, query, pattern], {
        env: { ...process.env, ORT_DYLIB_PATH: library },
      });
      const { classes, losses, asked, probabilities } = JSON.parse(stdout);
      const loaded = await loadBundle(bundle, { patterns: [pattern], threads: 1 });
      const tensors = async (from: string) => {
        const found = [];
        for (const label of classes) {
          for (const file of (await readdir(join(from, label))).sort()) {
            const bytes = await readFile(join(from, label, file));
            found.push({ label, image: await decodeImage(bytes, loaded.manifest.preprocessing) });
          }
        }
        return found;
      };
      const expected = await loaded.adapt(await tensors(support), { pattern, always: true });
      const queries = await tensors(query);
      const images = queries.map(({ image }) => image);
      const predictions = await loaded.predict(expected.profile, images);
      await loaded.release();
      expect(losses).toHaveLength(expected.losses.length);
      for (const [i, loss] of expected.losses.entries()) {
        expect(Math.abs(losses[i] - loss)).toBeLessThan(1e-4 * loss + 1e-7);
      }
      expect(asked).toEqual(queries.map(({ label }) => label));
      const told = asked.map((_: string, i: number) => {
        const row = probabilities.slice(i * classes.length, (i + 1) * classes.length);
        for (const [at, name] of classes.entries()) {
          expect(Math.abs(row[at] - (predictions[i]?.probabilities[name] as number))).toBeLessThan(1e-4);
        }
        return classes[row.indexOf(Math.max(...row))];
      });
      expect(told).toEqual(asked);
    });
  });
});

const needsAndroid = {
  'Java that has built examples/java': existsSync(join(java.target, 'lib/android-4.1.1.4.jar')) && runs('javac'),
};
describe.skipIf(Object.values(needsAndroid).includes(false))(`examples/android${lacking(needsAndroid)}`, () => {
  it('is compiled with the classes of Android and of examples/java', async () => {
    const source = join(examples, 'android/AdaptActivity.java');
    await promisify(execFile)('javac', [
      '-Xlint:all,-serial',
      '-Werror',
      '-cp',
      java.classPath,
      '-d',
      join(directory, 'android'),
      source,
    ]);
    await readFile(join(directory, 'android/whet/example/AdaptActivity.class'));
  });
});

describe.skipIf(!chromiumPath)(`apps in Chromium${skipReason}`, () => {
  /** An app of the examples as Vite builds it, open in a browser. */
  async function open(name: string, ...args: string[]) {
    const app = await serveBuilt(join(examples, name), { bundle });
    const browser = await openBrowser({ arguments: args, context: { permissions: ['camera'] } });
    const page = await browser.context.newPage();
    await page.goto(app.address);
    const close = async () => {
      await browser.close();
      await app.close();
    };
    return { page, close };
  }

  it('examples/bundler-app is built by Vite and adapts', async () => {
    const files = await copyImages(join(directory, 'app-images'), 0, 4);
    const of = (label: string) => files.filter((file) => file.includes(`/${label}/`));
    const { page, close } = await open('bundler-app');
    const says = (text: string | RegExp) => page.locator('#answer', { hasText: text }).waitFor({ timeout: 60_000 });
    await says('ready');
    await page.locator('#first').setInputFiles(of('plus').slice(0, 3));
    await page.locator('#second').setInputFiles(of('dollar').slice(0, 3));
    await says(/^adapted in [\d.]+ ms$/);
    await page.locator('#query').setInputFiles(of('dollar')[3] as string);
    await says(/^second, [\d.]+ %$/);
    await close();
  });

  it('examples/react-app learns in a worker', async () => {
    const files = await copyImages(join(directory, 'react-images'), 0, 4);
    const of = (label: string) => files.filter((file) => file.includes(`/${label}/`));
    const none = join(directory, 'none.png');
    await writeFile(none, 'no picture');
    const { page, close } = await open('react-app');
    const says = (text: RegExp) => page.locator('output', { hasText: text }).waitFor({ timeout: 60_000 });
    await page.getByLabel('Pictures of cats').setInputFiles([...of('plus').slice(0, 2), none]);
    await page
      .getByRole('alert')
      .filter({ hasText: /^Nothing learnt of cat: image: expected a PNG/ })
      .waitFor();
    await page.getByLabel('Pictures of cats').setInputFiles(of('plus').slice(0, 3));
    await page.getByLabel('Pictures of dogs').setInputFiles(of('dollar').slice(0, 3));
    const query = page.locator('input:enabled >> nth=2');
    await query.setInputFiles(of('dollar')[3] as string);
    await says(/^dog, [\d.]+ %$/);
    expect(await page.getByRole('alert').count()).toBe(0);
    await query.setInputFiles(none);
    await page
      .getByRole('alert')
      .filter({ hasText: /^image: expected a PNG/ })
      .waitFor();
    await query.setInputFiles(of('plus')[3] as string);
    await says(/^cat, [\d.]+ %$/);
    await close();
  });

  it('examples/camera learns from what a camera shows', async () => {
    const { page, close } = await open(
      'camera',
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
    );
    await page.getByText('Show it something, and press a button').waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'first' }).click();
    await page.getByRole('button', { name: 'second' }).click();
    const seen = () => page.locator('#answer', { hasText: /^(first|second), \d+ %$/ }).waitFor({ timeout: 60_000 });
    await seen();
    await page.evaluate(() => {
      const decode = globalThis.createImageBitmap;
      globalThis.mend = () => {
        globalThis.createImageBitmap = decode;
      };
      globalThis.createImageBitmap = () => Promise.reject(new Error('no frame'));
    });
    await page.getByText('Not seen: no frame').waitFor();
    await page.getByRole('button', { name: 'first' }).click();
    await page.getByText('Nothing learnt: no frame').waitFor();
    await page.evaluate(() => globalThis.mend());
    await seen();
    await close();
  });

  it('examples/camera says that there is no camera', async () => {
    const { page, close } = await open('camera');
    await page
      .getByRole('alert')
      .filter({ hasText: /^The camera cannot be used: / })
      .waitFor({ timeout: 60_000 });
    expect(await page.locator('#answer').textContent()).toBe('');
    await close();
  });
});
