import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { chromiumPath, openBrowser, skipReason, type TestBrowser } from '@whet/tools/page/browser';
import { PageDriver } from '@whet/tools/page/driver';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe.skipIf(!chromiumPath)(`what the page says of pictures of which some are read${skipReason}`, () => {
  let folder: string;
  let server: PageServer;
  let browser: TestBrowser;

  beforeAll(async () => {
    folder = await partOfBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), ['head']);
    server = await startPageServer(folder);
    browser = await openBrowser({ compileOnce: true });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    if (folder) await rm(folder, { recursive: true });
  });

  it('a WebP file to be turned where what turns it is away: not that the file is too large; others are read', async () => {
    const other = await browser.another({ serviceWorkers: 'block' });
    const page = await other.context.newPage();
    await page.route(/upright-webp/, (route) => route.abort());
    const away = new PageDriver(page);
    await away.open(server.url);
    await away.source('Picture');
    const ask = async (orientation?: number) => {
      const image = sharp({ create: { width: 30, height: 20, channels: 3, background: 'white' } }).webp();
      const buffer = await (orientation ? image.withMetadata({ orientation }) : image).toBuffer();
      const file = { name: 'a.webp', mimeType: 'image/webp', buffer };
      await page.getByLabel('Picture to ask about').setInputFiles(file);
    };
    await ask(6);
    await away.problem('It could not look at the picture.');
    await ask();
    await page.getByRole('img', { name: 'The picture as it is seen' }).waitFor();
    await other.context.close();
  });

  it('what was not read and what was added, of files that are chosen together; names are said as they are', async () => {
    const other = await browser.another();
    const chooser = new PageDriver(await other.context.newPage());
    await chooser.open(server.url);
    const buffer = await sharp({ create: { width: 9, height: 9, channels: 3, background: 'white' } })
      .png()
      .toBuffer();
    const [good, bad] = [
      { name: 'good.png', mimeType: 'image/png', buffer },
      { name: "$&$'.png", mimeType: 'image/png', buffer: Buffer.from('meeting at nine') },
    ];
    await chooser.page.getByLabel('Pictures of Thing 1', { exact: true }).setInputFiles([bad, good]);
    await chooser.card('Thing 1').locator('.thumb').waitFor();
    const notice = chooser.page.locator('.notice.problem', { hasText: 'Added 1 picture to “Thing 1”.' });
    await notice.waitFor();
    expect(await notice.textContent()).toContain("$&$'.png is no picture that can be read.");
    expect(await notice.textContent()).toContain("$&$'.png: expected a PNG");
    await notice.getByRole('button', { name: 'Undo' }).click();
    await chooser.card('Thing 1').locator('.thumb').waitFor({ state: 'detached' });
    expect(other.problems).toEqual([]);
    await other.context.close();
  });
});
