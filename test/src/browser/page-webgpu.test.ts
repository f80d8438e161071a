import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { decodeImage } from '@whet/runtime/images';
import { charactersDirectory, type DemoImage, loadDemoImages } from '@whet/tools/demo/demo-images';
import { chromiumPath, openBrowser, skipReason, type TestBrowser } from '@whet/tools/page/browser';
import { PageDriver } from '@whet/tools/page/driver';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';

describe.skipIf(!chromiumPath)(`the page on WebGPU (SwiftShader)${skipReason}`, () => {
  let folder: string;
  let server: PageServer;
  let browser: TestBrowser;
  let driver: PageDriver;
  let adapter: string | undefined;

  beforeAll(async () => {
    // Without a dense pattern, which the page would measure for the speed-up: minutes on a GPU in software.
    folder = await partOfBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), ['head', 'from-block4']);
    server = await startPageServer(folder);
    browser = await openBrowser({ gpu: true, compileOnce: true });
    driver = new PageDriver(browser.context.pages()[0] ?? (await browser.context.newPage()));
    await driver.open(server.url);
    adapter = await driver.page.evaluate(async () => {
      const { gpu } = navigator as unknown as {
        gpu?: { requestAdapter(): Promise<{ info: { vendor: string; architecture: string } } | null> };
      };
      const found = await gpu?.requestAdapter();
      return found ? `${found.info.vendor} ${found.info.architecture}` : undefined;
    });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });
  const needsAdapter = (context: TestContext) => context.skip(!adapter, 'this Chromium gives no WebGPU adapter');

  it('adapts to the same probabilities as Node.js', { timeout: 400_000 }, async (context) => {
    needsAdapter(context);
    await driver.demo();
    await driver.openEngineers();
    await driver.page.getByLabel('Computes on').selectOption('webgpu');
    // Behind what engineers look at, which closes as another worker begins.
    await driver.page.getByText('Now WebGPU').waitFor({ state: 'attached', timeout: 170_000 });
    await driver.openEngineers();
    await driver.adapt();
    const demo = await loadDemoImages(charactersDirectory);
    const tensor = (image: DemoImage) => decodeImage(image.bytes, server.bundle.manifest.preprocessing);
    const labels = ['plus', 'question-mark', 'percent', 'dollar', 'equals'];
    const examples = await Promise.all(
      labels
        .flatMap((label) => (demo.get(label) ?? []).slice(0, 5))
        .map(async (image) => ({ label: image.label, image: await tensor(image) })),
    );
    const { profile } = await server.bundle.adapt(examples);
    for (const label of labels) {
      const image = demo.get(label)?.[7] as DemoImage;
      const shown = await driver.predict(image.file);
      const [expected] = await server.bundle.predict(profile, [await tensor(image)]);
      for (const [name, value] of Object.entries(expected?.probabilities ?? {})) {
        expect(Math.abs(value - (shown[name] ?? Number.NaN))).toBeLessThan(1e-3);
      }
    }
    expect(browser.problems).toEqual([]);
  });

  it('goes on with WebAssembly, to the same result, when the GPU is lost while it adapts', {
    timeout: 400_000,
  }, async (context) => {
    needsAdapter(context);
    const before = server.bundle.profileFromBytes(await driver.save());
    // Watched for from before it begins: steps are told of for as long as they take. A GPU in software may be lost by itself, too.
    const lost = driver.page.getByText(/Now WebAssembly.*WebGPU was lost/);
    const isStepping = driver.page
      .getByText(/^Step [1-9]/)
      .or(lost)
      .first()
      .waitFor();
    await driver.pattern('from-block4');
    await isStepping;
    await driver.page.waitForTimeout(500);
    const client = await browser.context.browser()?.newBrowserCDPSession();
    if (!client) throw new Error('expected a session with the browser');
    await client.send('Browser.crashGpuProcess').catch(() => {});
    await lost.waitFor({ timeout: 170_000 });
    await driver.page.locator('.engineers[data-adapted="from-block4"]').waitFor({ timeout: 170_000 });
    const profile = server.bundle.profileFromBytes(await driver.save());
    expect(profile.pattern).toBe('from-block4');
    expect(profile.classes).toEqual(before.classes);
    const demo = await loadDemoImages(charactersDirectory);
    const image = demo.get('dollar')?.[8] as DemoImage;
    const shown = await driver.predict(image.file);
    const examples = await Promise.all(
      profile.classes
        .flatMap((label) => (demo.get(label) ?? []).slice(0, 5))
        .map(async ({ label, bytes }) => ({
          label,
          image: await decodeImage(bytes, server.bundle.manifest.preprocessing),
        })),
    );
    const expected = await server.bundle.adapt(examples, { pattern: 'from-block4' });
    const [prediction] = await server.bundle.predict(expected.profile, [
      await decodeImage(image.bytes, server.bundle.manifest.preprocessing),
    ]);
    for (const [name, value] of Object.entries(prediction?.probabilities ?? {})) {
      expect(Math.abs(value - (shown[name] ?? Number.NaN))).toBeLessThan(1e-3);
    }
  });
});
