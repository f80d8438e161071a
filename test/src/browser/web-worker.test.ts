import { fileURLToPath } from 'node:url';
import type { Bundle, Example } from '@whet/runtime';
import * as node from '@whet/runtime/node';
import { randomImages, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { chromiumPath, openBrowser, skipReason, type TestBrowser } from '@whet/tools/page/browser';
import type { Page, Worker } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';
import { type BuiltApp, serveBuilt } from './built-app.js';

declare global {
  var openInWorker: typeof import('@whet/runtime/web-worker').openInWorker;
  var opened: import('@whet/runtime/web-worker').WorkerBundle;
  /** How many pictures were let go. */
  var letGo: number;
}

const taught = randomImages('worker-support', 6).map((image, i) => ({ label: `class ${i % 3}`, image }));
const query = randomImages('worker-query', 4);
const given = {
  examples: taught.map(({ label, image }) => ({ label, image: [...image] })),
  queries: query.map((image) => [...image]),
};

describe.skipIf(!chromiumPath)(`a bundle in a worker${skipReason}`, () => {
  let app: BuiltApp;
  let browser: TestBrowser;
  let page: Page;
  let own: Bundle;
  beforeAll(async () => {
    const bundle = await writeTinyBundle();
    own = await node.loadBundle(bundle, { threads: 1 });
    app = await serveBuilt(
      fileURLToPath(new URL('worker-app', import.meta.url)),
      { bundle },
      { configFile: false, base: './', worker: { format: 'es' } },
    );
    browser = await openBrowser({ compileOnce: true });
    page = await browser.context.newPage();
    await page.goto(app.address);
  });
  afterAll(async () => {
    await browser?.close();
    await app?.close();
    await own?.release();
  });

  it('adapts and predicts as it does elsewhere, and nothing of it on the main thread', async () => {
    const found = await page.evaluate(async ({ examples, queries }) => {
      const told: string[] = [];
      const bundle = await openInWorker('./bundle', {
        onProgress: ({ loaded, total }) => told.push(loaded === total ? 'whole' : 'part'),
        onBackend: ({ backend }) => told.push(backend),
      });
      const steps: number[] = [];
      const adapted = await bundle.adapt(
        examples.map(({ label, image }) => ({ label, image: new Float32Array(image) })),
        { onStep: (step) => steps.push(step) },
      );
      const images = queries.map((image) => new Float32Array(image));
      const bytes = adapted.profile.toBytes();
      const again = await bundle.profileFromBytes(bytes);
      const encoded = await bundle.encode(images);
      return {
        told: [...new Set(told)],
        steps,
        losses: adapted.losses,
        bytes: [...bytes],
        predictions: await bundle.predict(adapted.profile, images),
        again: await bundle.predict(again, encoded),
        frozen: [...(await bundle.freeze(again))],
        further: (await bundle.adapt([{ label: 'new', image: images[0] as Float32Array }], { from: again })).added,
        digest: bundle.digest,
        released: await bundle.release().then(() => bundle.predict(again, images).catch(({ message }) => message)),
      };
    }, given);
    const expected = await own.adapt(taught);
    expect(found.digest).toBe(own.digest);
    expect(found.told.sort()).toEqual(expect.arrayContaining(['wasm', 'whole']));
    expect(found.steps).toEqual(expected.losses.map((_, i) => i + 1));
    expect(relativeError(found.losses, expected.losses)).toBeLessThan(1e-4);
    const profile = own.profileFromBytes(Uint8Array.from(found.bytes));
    const probabilities = (predictions: readonly { probabilities: Readonly<Record<string, number>> }[]) =>
      predictions.flatMap((prediction) => Object.values(prediction.probabilities));
    const those = probabilities(await own.predict(profile, query));
    expect(relativeError(probabilities(found.predictions), those)).toBeLessThan(1e-4);
    expect(relativeError(probabilities(found.again), those)).toBeLessThan(1e-4);
    expect(Buffer.from(await own.freeze(profile)).equals(Buffer.from(found.frozen))).toBe(true);
    expect(found.further).toEqual(['new']);
    expect(found.released).toBe('the bundle was released');
    // Fetched by the page itself: its own scripts only.
    const scripts = await page.evaluate(() =>
      performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname),
    );
    expect(scripts.filter((path) => /^\/bundle|ort[-.]|\.wasm$/.test(path))).toEqual([]);
    expect(app.asked.some((path) => path.endsWith('.wasm'))).toBe(true);
    expect(app.asked.filter((path) => path.endsWith('.step.onnx'))).toHaveLength(1);
  });

  it('decodes pictures there, and lets a frame that it was handed go', async () => {
    await page.evaluate(async () => {
      globalThis.opened = await openInWorker('./bundle');
    });
    const worker = page.workers().at(-1) as Worker;
    await worker.evaluate(() => {
      const { close } = ImageBitmap.prototype;
      globalThis.letGo = 0;
      ImageBitmap.prototype.close = function () {
        globalThis.letGo++;
        close.call(this);
      };
    });
    const { file, frame } = await page.evaluate(async () => {
      const bundle = globalThis.opened;
      const canvas = new OffscreenCanvas(20, 20);
      const context = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
      context.fillStyle = '#666';
      context.fillRect(0, 0, 10, 20);
      const pixels = context.getImageData(0, 0, 20, 20);
      const [file, frame, other] = [
        await bundle.decode(await canvas.convertToBlob()),
        await bundle.decode(await createImageBitmap(canvas)),
        await bundle.decode(pixels),
      ];
      if (other.some((value, i) => value !== file[i])) throw new Error('pixels and file differ');
      return { file: [...file], frame: [...frame] };
    });
    expect(await worker.evaluate(() => globalThis.letGo)).toBe(2);
    expect(file).toEqual(frame);
    expect(file).toHaveLength(own.imageLength);
    expect(new Set(file).size).toBeGreaterThan(1);
  });

  it('throws the same errors, and ends when it is told to', async () => {
    const said = await page.evaluate(async ({ examples }) => {
      const because = (work: Promise<unknown>) =>
        work.then(
          () => 'none',
          (cause) => `${cause.name} ${cause.field ?? ''}: ${cause.message}`,
        );
      const bundle = await openInWorker('./bundle');
      const images: Example[] = examples.map(({ label, image }) => ({ label, image: new Float32Array(image) }));
      const controller = new AbortController();
      const onStep = () => controller.abort(new Error('enough'));
      const failure = new Error('not drawn');
      const fails = (at: number) => {
        const steps: number[] = [];
        const fail = (step: number) => {
          steps.push(step);
          if (step === at) throw failure;
        };
        return { steps, fail };
      };
      const [early, late] = [fails(1), fails(2)];
      const isOwn = (work: Promise<unknown>) =>
        work.then(
          () => false,
          (cause) => cause === failure,
        );
      const stopped = new AbortController();
      stopped.abort(new Error('not at all'));
      const opening = new AbortController();
      const before = openInWorker('./bundle', { signal: opening.signal });
      opening.abort(new Error('gone'));
      return {
        none: await because(bundle.adapt([])),
        pattern: await because(bundle.adapt(images, { pattern: 'elsewhere' })),
        bytes: await because(bundle.profileFromBytes(new Uint8Array(20))),
        picture: await because(bundle.decode(new Blob(['no picture']))),
        stopped: await because(bundle.adapt(images, { steps: 100_000, rate: 1e-9, signal: controller.signal, onStep })),
        early: [await isOwn(bundle.adapt(images, { steps: 100_000, rate: 1e-9, onStep: early.fail })), early.steps],
        late: [await isOwn(bundle.adapt(images, { steps: 2, rate: 1e-9, onStep: late.fail })), late.steps],
        after: await because(bundle.adapt(images, { steps: 1 })),
        before: await because(bundle.adapt(images, { signal: stopped.signal })),
        missing: await because(openInWorker('./nowhere')),
        gone: await because(before),
        initial: await because(bundle.initialProfile()),
        load: await because(bundle.load('nowhere')),
      };
    }, given);
    expect(said.none).toBe('InputError examples: expected labelled examples, got none');
    expect(said.pattern).toMatch(/^InputError pattern: expected one of .*, got "elsewhere"/);
    expect(said.bytes).toMatch(/^ProfileError : profile: /);
    expect(said.picture).toMatch(
      /^InputError image: image: expected a PNG, JPEG, .*, got 10 bytes that are not an image/,
    );
    expect(said.stopped).toBe('Error : enough');
    expect(said.early).toEqual([true, [1]]);
    expect(said.late).toEqual([true, [1, 2]]);
    expect(said.after).toBe('none');
    expect(said.before).toBe('Error : not at all');
    expect(said.missing).toMatch(/^BundleError : http.*nowhere\/manifest\.json: expected the file, got HTTP 404/);
    expect(said.gone).toBe('Error : gone');
    expect(said.initial).toMatch(/^InputError profile: expected a profile, or a bundle with classes of its own/);
    expect(said.load).toMatch(/^InputError pattern: expected one of .*, got "nowhere"/);
  });

  it('says where its script cannot be loaded', async () => {
    await page.route(/worker-.*\.js/, (route) => route.fulfill({ status: 404 }));
    const said = await page.evaluate(() =>
      openInWorker('./bundle').catch(({ name, message }) => `${name}: ${message}`),
    );
    expect(said).toBe('BundleError: ./bundle: the worker failed: its script cannot be loaded');
  });
});
