import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import type { Bundle, Example } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';
import * as node from '@whet/runtime/node';
import { randomImages, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { charactersDirectory, type DemoImage, loadDemoImages } from '@whet/tools/demo/demo-images';
import { downloaded, type OtherBrowser, otherBrowsers, until } from '@whet/tools/page/other-browsers';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';
import { type BuiltApp, serveBuilt } from './built-app.js';

const TAUGHT = ['plus', 'percent', 'dollar'] as const;
const SHOTS = 5;

const button = (name: string) => `//button[@aria-label="${name}" or normalize-space(.)="${name}"]`;
const field = (name: string) => `//input[@aria-label="${name}"]`;

let demo: ReadonlyMap<string, readonly DemoImage[]>;
let folder: string;
let server: PageServer;
let app: BuiltApp;
let tiny: Bundle;
beforeAll(async () => {
  if (otherBrowsers.every(({ skipReason }) => skipReason)) return;
  demo = await loadDemoImages(charactersDirectory);
  folder = await partOfBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), ['head']);
  server = await startPageServer(folder, undefined, new Map([['drawn', folder]]));
  const bundle = await writeTinyBundle();
  tiny = await node.loadBundle(bundle, { threads: 1 });
  app = await serveBuilt(
    fileURLToPath(new URL('worker-app', import.meta.url)),
    { bundle },
    { configFile: false, base: './', worker: { format: 'es' } },
  );
});
afterAll(async () => {
  await app?.close();
  await tiny?.release();
  await server?.close();
  if (folder) await rm(folder, { recursive: true });
});

for (const { name, skipReason, start } of otherBrowsers)
  describe.skipIf(skipReason)(`${name}${skipReason}`, () => {
    let browser: OtherBrowser;
    beforeAll(async () => {
      browser = await start();
    });
    afterAll(() => browser?.close());

    const picturesOf = (label: string) => demo.get(label) as readonly DemoImage[];
    const probabilities = () =>
      browser.run<Record<string, number>>(
        'Object.fromEntries([...document.querySelectorAll(".prediction li")].map(({ dataset }) => [dataset.label, Number(dataset.probability)]))',
      );
    /** What the page shows for a picture of its class that was not taught. */
    const ask = async (label: string) => {
      const query = 'document.querySelector(".prediction")?.dataset.query';
      const before = await browser.run<string | null>(`${query} ?? null`);
      await browser.choose(field('Picture to ask about'), [picturesOf(label)[SHOTS + 1]?.file as string]);
      await until(browser, `${query} && ${query} !== ${JSON.stringify(before)}`);
      return probabilities();
    };
    const expected = async (profile: Parameters<Bundle['predict']>[0], label: string) => {
      const { bytes } = picturesOf(label)[SHOTS + 1] as DemoImage;
      const image = await decodeImage(bytes, server.bundle.manifest.preprocessing);
      return (await server.bundle.predict(profile, [image]))[0]?.probabilities ?? {};
    };
    const isClose = (found: Record<string, number>, wanted: Readonly<Record<string, number>>) => {
      expect(Object.keys(found).sort()).toEqual(Object.keys(wanted).sort());
      for (const [name, value] of Object.entries(wanted))
        expect(Math.abs((found[name] ?? 9) - value)).toBeLessThan(1e-3);
    };

    it('the page learns three things of pictures, as Node.js does, keeps and saves what it learned, and looks through a camera', async () => {
      await browser.open(server.url);
      await until(browser, 'document.querySelector(".classes")');
      for (const [i, label] of TAUGHT.entries()) {
        const name = `Thing ${i + 1}`;
        if (i > 1) await browser.click(button('Add a thing'));
        await until(browser, `document.querySelector('[data-name="${name}"]')`);
        const files = picturesOf(label).slice(0, SHOTS);
        await browser.choose(
          field(`Pictures of ${name}`),
          files.map(({ file }) => file),
        );
        await until(browser, `document.querySelectorAll('[data-name="${name}"] .thumb').length === ${SHOTS}`);
      }
      const learned = 'document.querySelector(".status-line.learned")?.innerText.includes("15 pictures")';
      await until(browser, learned);
      const examples: Example[] = [];
      for (const [i, label] of TAUGHT.entries()) {
        for (const { bytes } of picturesOf(label).slice(0, SHOTS)) {
          const image = await decodeImage(bytes, server.bundle.manifest.preprocessing);
          examples.push({ label: `Thing ${i + 1}`, image });
        }
      }
      const { profile } = await server.bundle.adapt(examples);
      await browser.click('//*[@role="tab" and normalize-space(.)="Picture"]');
      for (const [i, label] of TAUGHT.entries()) {
        isClose(await ask(label), await expected(profile, label));
        expect(await browser.run('document.querySelector(".verdict").innerText')).toBe(`It is Thing ${i + 1}`);
      }
      const [sharesMemory, runtime] = await browser.run<[boolean, string]>(
        '[typeof SharedArrayBuffer !== "undefined", document.querySelector(".runtime p").textContent]',
      );
      expect(runtime).toMatch(sharesMemory ? /, \d+ threads?/ : /, 1 thread\b/);
      await browser.click(button('Save what it learned'));
      const saved = server.bundle.profileFromBytes(await downloaded(browser, '.whet-profile'));
      isClose(await expected(saved, 'dollar'), await expected(profile, 'dollar'));

      await browser.reload();
      await until(browser, learned);
      expect(await browser.run('document.querySelectorAll(".thumb").length')).toBe(TAUGHT.length * SHOTS);
      await browser.click('//*[@role="tab" and normalize-space(.)="Picture"]');
      isClose(await ask('percent'), await expected(profile, 'percent'));
      // It says what a camera sees: colours, here.
      await browser.click('//*[@role="tab" and normalize-space(.)="Camera"]');
      await browser.click(button('Start the camera'));
      await until(browser, 'document.querySelector(".frame.on") && document.querySelector(".prediction .verdict")');
      expect(await browser.problems()).toEqual([]);
    });

    it('the runtime in a worker adapts with the losses of Node.js, and predicts as it does', async () => {
      const taught = randomImages('elsewhere-support', 6).map((image, i) => ({ label: `class ${i % 3}`, image }));
      const query = randomImages('elsewhere-query', 4);
      await browser.open(app.address);
      await until(browser, 'globalThis.openInWorker');
      const plain = (images: readonly Float32Array[]) => JSON.stringify(images.map((image) => [...image]));
      const found = await browser.run<{ losses: number[]; probabilities: number[] }>(`(async () => {
      const labels = ${JSON.stringify(taught.map(({ label }) => label))};
      const images = ${plain(taught.map(({ image }) => image))};
      const bundle = await openInWorker('./bundle');
      const examples = images.map((image, i) => ({ label: labels[i], image: new Float32Array(image) }));
      const { profile, losses } = await bundle.adapt(examples);
      const queries = ${plain(query)}.map((image) => new Float32Array(image));
      const predictions = await bundle.predict(profile, queries);
      await bundle.release();
      return { losses, probabilities: predictions.flatMap(({ probabilities }) => Object.values(probabilities)) };
    })()`);
      const { profile, losses } = await tiny.adapt(taught);
      expect(relativeError(found.losses, losses)).toBeLessThan(1e-4);
      const own = (await tiny.predict(profile, query)).flatMap((one) => Object.values(one.probabilities));
      expect(relativeError(found.probabilities, own)).toBeLessThan(1e-4);
      expect(await browser.problems()).toEqual([]);
    });
  });
