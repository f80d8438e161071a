import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { type Example, type Manifest, readProfile } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
import { chromiumPath, openBrowser, skipReason, type TestBrowser } from '@whet/tools/page/browser';
import { PageDriver } from '@whet/tools/page/driver';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BRIGHT, photographs } from '../bundle/photographs.js';
import { compileBytes } from '../compile/compile-helpers.js';
import { CLASSES, FEATURES, flat, SIDE, smallClassifier } from '../compile/small-classifier.js';
import { relativeError } from '../parity/reference.js';
import { violationsOf } from './axe.js';

describe.skipIf(!chromiumPath)(`the page's files on a host that fails and changes${skipReason}`, () => {
  let parent: string;
  let server: PageServer;
  let browser: TestBrowser;
  let driver: PageDriver;
  let page: Page;

  beforeAll(async () => {
    parent = await mkdtemp(join(tmpdir(), 'whet-files-'));
    const part = await partOfBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), ['head', 'from-block4']);
    for (const name of ['first', 'second']) await cp(part, join(parent, name), { recursive: true });
    await rm(part, { recursive: true });
    const model = smallClassifier((g, pooled, constant) => {
      const hidden = g.apply('Gemm', [flat(g, pooled), constant('v', [FEATURES, 6])], {}, 'hidden');
      const rows = [g.apply('Relu', [hidden], {}, 'kept'), constant('w', [6, CLASSES]), constant('b', [CLASSES])];
      return g.apply('Gemm', rows, {}, 'fc');
    });
    const patterns = { head: ['none'], last: ['last:1'] };
    const { directory } = await compileBytes(model, { patterns, steps: 10, rate: 0.01 });
    await cp(directory, join(parent, 'small'), { recursive: true });
    const form = { rate: 0.01, mean: [0.5], std: [0.5 / BRIGHT] };
    const bright = await compileBytes(photographs(5).model, {
      patterns: { ...patterns, all: ['all'] },
      steps: 10,
      ...form,
    });
    await cp(bright.directory, join(parent, 'bright'), { recursive: true });
    const pages = new Map(['first', 'second', 'small', 'bright'].map((name) => [name, join(parent, name)]));
    server = await startPageServer(undefined, undefined, pages);
    browser = await openBrowser({ compileOnce: true });
    page = browser.context.pages()[0] ?? (await browser.context.newPage());
    driver = new PageDriver(page);
    await driver.open(server.url);
    await driver.demo();
    await driver.learned();
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(parent, { recursive: true, force: true });
  });
  /** Damages a file on the host; the function that is returned heals it. */
  const damage = async (path: string) => {
    const file = join(parent, path);
    const whole = await readFile(file);
    await writeFile(file, Buffer.from(whole.map((byte, i) => (i === whole.length >> 1 ? byte ^ 1 : byte))));
    return () => writeFile(file, whole);
  };
  const reload = async () => {
    await page.reload();
    await driver.ready();
  };
  const change = async (fn: (manifest: Manifest) => unknown) => {
    const file = join(parent, 'first', 'manifest.json');
    await writeFile(file, JSON.stringify(fn(JSON.parse(await readFile(file, 'utf8')) as Manifest)));
  };

  it('a file that came damaged is not kept: once the host is healed, the same works', async () => {
    await reload();
    const heal = await damage('first/from-block4.step.onnx');
    await driver.pattern('from-block4');
    const problem = page.locator('.notice.problem', { hasText: /from-block4\.step\.onnx: SHA-256/ });
    await problem.waitFor();
    const kept = () =>
      page.evaluate(async () => {
        const all = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
        return all.flat().filter(({ url }) => url.includes('from-block4.step.onnx')).length;
      });
    expect(await kept()).toBe(0);
    await heal();
    await problem.getByRole('button', { name: 'Try again' }).click();
    await driver.adaptedBy('from-block4');
    await expect.poll(kept).toBe(1);
  });

  it('says plainly that much that has moved is too much for a link, and offers the file', async () => {
    await driver.button('Share a link').click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByText(/^What it learned is [\d.]+ kB, too much for a link\. Save the file instead\.$/).waitFor();
    expect(await dialog.getByLabel('Link').count()).toBe(0);
    expect(await violationsOf(page)).toEqual([]);
    const download = page.waitForEvent('download');
    await driver.answer('Save the file');
    expect((await download).suggestedFilename()).toMatch(/\.whet-profile$/);
    await driver.answer('Done');
  });

  it('names the model that is damaged, and fetches that one again', async () => {
    const heal = await damage('second/head.encode.onnx');
    await driver.model('Drawings: second');
    const alert = page.getByRole('alert').filter({ hasText: 'Drawings: second could not be loaded' });
    await alert.waitFor();
    expect(await alert.innerText()).toMatch(/head\.encode\.onnx: SHA-256/);
    await heal();
    await driver.button('Fetch it again').click();
    await driver.ready();
    expect(await page.getByRole('radio', { name: 'Drawings: second' }).isChecked()).toBe(true);
    await open('first');
  });

  const open = async (name: string) => {
    await driver.model(new RegExp(`: ${name}`));
    await page.getByRole('heading', { name: 'Getting ready' }).waitFor({ state: 'hidden' });
    await driver.ready();
  };

  it('takes no steps where views leave them nothing to learn, as Node.js does, and says why', async () => {
    await open('bright');
    const bundle = await loadBundle(join(parent, 'bright'), { threads: 1 });
    const examples: Example[] = [];
    for (const [label, levels] of [
      ['dark', [0, 15, 30]],
      ['light', [255, 245, 235]],
    ] as const) {
      const paths: string[] = [];
      for (const level of levels) {
        const create = { width: 8, height: 8, channels: 3, background: { r: level, g: level, b: level } } as const;
        const buffer = await sharp({ create }).png().toBuffer();
        paths.push(join(parent, `${level}.png`));
        await writeFile(paths.at(-1) as string, buffer);
        examples.push({ label, image: await decodeImage(buffer, bundle.manifest.preprocessing) });
      }
      await driver.addThing(label, paths);
    }
    await driver.pattern('last');
    await driver.adaptedBy('last');
    const figures = page.locator('.figures');
    for (const [i, encoded] of [
      /to encode 6 examples/,
      /to encode 2 examples.*4 examples were encoded before/,
    ].entries()) {
      if (i > 0) await driver.adapt();
      const { spared, heldBack, profile } = await bundle.adapt(examples, { pattern: 'last' });
      expect(spared).toContain('which leaves nothing to learn');
      const said = `${heldBack?.right} of 6 right when not seen. Took no steps of last, solved for the head: ${spared}.`;
      await page.getByText(said).waitFor();
      expect(await figures.innerText()).toMatch(/ms for the head/);
      expect(await figures.innerText()).toMatch(encoded);
      const { values, steps } = readProfile(await driver.save());
      expect(steps).toBe(0);
      // What tells strangers lies between likenesses that are all the same here, but for rounding.
      for (const name of ['head.weight', 'head.bias']) {
        const [own, expected] = [values, profile.values].map((all) => all.get(name)?.data ?? []);
        expect(relativeError(own ?? [], expected ?? []), name).toBeLessThan(1e-3);
      }
    }
    await driver.button('Measure moving everything').click();
    await page.getByText(/over moving everything/).waitFor({ timeout: 60_000 });
    await bundle.release();
    await open('first');
  });

  it('auto chooses what moves as Node.js does, says what it tried and why, and ends where it is not wanted', async () => {
    const bundle = await loadBundle(join(parent, 'small'), { threads: 1 });
    const examples: Example[] = [];
    const add = async (label: string, wave: number) => {
      const raw = { width: SIDE, height: SIDE, channels: 1 } as const;
      const pixels = Uint8Array.from({ length: SIDE * SIDE }, (_, i) => 128 + 127 * Math.sin(wave * i));
      const buffer = await sharp(pixels, { raw }).png().toBuffer();
      const file = { name: `${label}.png`, mimeType: 'image/png', buffer };
      if ((await driver.card(label).count()) === 0) await driver.addThing(label, [file]);
      else await page.getByLabel(`Pictures of ${label}`, { exact: true }).setInputFiles(file);
      examples.push({ label, image: await decodeImage(buffer, bundle.manifest.preprocessing) });
      await page
        .locator('.thumb')
        .nth(examples.length - 1)
        .waitFor();
    };
    /** Adapts here and there, and compares what came of it. */
    const adapt = async (pattern: string) => {
      await driver.pattern(pattern);
      await driver.adaptedBy(pattern);
      const expected = await bundle.adapt(examples, { pattern });
      const { values, ...profile } = readProfile(await driver.save());
      expect(profile).toMatchObject({ pattern: 'last', steps: 10, classes: ['a', 'b', 'c'] });
      for (const [name, { data }] of expected.profile.values)
        expect(relativeError(values.get(name)?.data ?? [], data), name).toBeLessThan(1e-3);
      return expected;
    };

    await open('small');
    await add('a', 0.3);
    await add('b', 1.1);
    await add('c', 2.3);
    const held: ServerResponse[] = [];
    server.meddle = ({ url }, response) => Boolean(url?.includes('last.')) && held.push(response) > 0;
    await driver.pattern('auto');
    await page.getByText('Trying patterns').waitFor();
    // What needs nothing of the host has been learned meanwhile.
    await driver.adaptedBy('head');
    await driver.pattern('head');
    await page.getByText('Trying patterns').waitFor({ state: 'hidden' });
    await driver.learned();
    server.meddle = () => false;
    for (const response of held) response.destroy();

    const { auto } = await adapt('auto');
    expect(auto?.reason).toContain('from which steps can learn');
    const answer = page.locator('.tried');
    expect(await answer.innerText()).toBe(`Took 10 steps of last: ${auto?.reason}.`);
    await answer.locator('summary').click();
    const { views } = auto?.trials[0] ?? {};
    expect(await answer.getByRole('row').allInnerTexts()).toEqual([
      expect.stringMatching(/^tried\s+steps\s+right\s+loss\s+ms$/),
      expect.stringMatching(
        new RegExp(`^start\\s+0\\s+${views?.right} of 18 views\\s+${views?.loss.toPrecision(2)}\\s+\\d+$`),
      ),
      expect.stringMatching(/^head\s+0\s+–\s+–\s+\d+$/),
    ]);

    // A pattern that a person chooses asks about views of those that are alone in their class, too.
    await add('a', 0.5);
    const { heldBack } = await adapt('last');
    expect(heldBack?.asked).toBe(2);
    await page.getByText(`${heldBack?.right} of 2 right when not seen.`).waitFor();
    expect(await answer.count()).toBe(0);
    await bundle.release();
    await open('first');
  });

  it('is there while its host answers with errors, or not at all', async () => {
    server.meddle = (_, response) => {
      response.writeHead(502).end('bad gateway');
      return true;
    };
    await reload();
    const silent: ServerResponse[] = [];
    server.meddle = (_, response) => silent.push(response) > 0;
    await reload();
    expect(await page.locator('.thumb').count()).toBe(25);
    server.meddle = () => false;
    for (const response of silent) response.destroy();
    // The browser tells of the 502 itself.
    browser.problems.length = 0;
  });

  it('a newer version of the model takes over the examples, and learns again from them', async () => {
    await change(({ patterns, ...rest }) => ({ ...rest, patterns: { head: patterns['head'] } }));
    await reload();
    await page.getByText('There is a newer version, and it learns again from the pictures of “My project”.').waitFor();
    expect(await page.locator('.thumb').count()).toBe(25);
    expect(await driver.learned()).toContain('Learned from 25 pictures');
    await driver.openEngineers();
    await page.getByText('The model is newer than what').waitFor({ state: 'hidden' });
  });

  it('profiles that it cannot take over can be exported and deleted', async () => {
    const before = readProfile(await driver.save());
    await change(({ preprocessing, ...rest }) => ({ ...rest, preprocessing: { ...preprocessing, background: 254 } }));
    await reload();
    expect(await page.locator('.thumb').count()).toBe(0);
    await page.getByText('Projects of other models (1)').click();
    const download = page.waitForEvent('download');
    await driver.button('Save My project').click();
    const bytes = await readFile(await (await download).path());
    expect(readProfile(bytes)).toEqual(before);
    await driver.button('Delete My project').click();
    await page.getByText('Deleted “My project” with its pictures.').waitFor();
    await driver.undo();
    await page.getByText('Projects of other models (1)').click();
    await driver.button('Delete My project').click();
    await page.getByText('Deleted “My project” with its pictures.').waitFor();
    await reload();
    expect(await page.getByText(/^Projects of other models/).count()).toBe(0);
    // A reload may end what was about to be kept for later; the next visit keeps it.
    expect(browser.problems.filter((problem) => !problem.includes('not kept for later'))).toEqual([]);
  });
});
