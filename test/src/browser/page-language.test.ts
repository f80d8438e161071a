import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { chromiumPath, openBrowser, skipReason, type TestBrowser } from '@whet/tools/page/browser';
import { type PageServer, startPageServer } from '@whet/tools/page/page-server';
import { partOfBundle } from '@whet/tools/page/part-of-bundle';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** Around all that a message file says. */
const [OPEN, CLOSE] = ['⟦', '⟧'];

/** The German texts, as the page fetches them, each with a mark around it: what has none was never in a message file. */
function marked(script: string): string {
  const [, exported, name] = /export\s*\{\s*(\w+) as (de)\s*\}/.exec(script) ?? [];
  if (!exported) throw new Error('expected a file that exports `de`');
  const wrap = `const marked = (value, key) => typeof value === 'string' ? (['direction', 'language'].includes(key) ? value : '${OPEN}' + value + '${CLOSE}')
    : typeof value === 'function' ? (...all) => marked(value(...all))
    : Array.isArray(value) ? value.map((one) => marked(one))
    : Object.fromEntries(Object.entries(value).map(([name, one]) => [name, marked(one, name)]));
    const pseudo = marked(${exported});`;
  return `${script.replace(/export\s*\{[^}]*\};?/, '')}\n${wrap}\nexport { pseudo as ${name} };`;
}

/** Words that a person sees or hears and that are in no message file. What is in another language says so, and names are not translated. */
const unmarked = (page: Page): Promise<string[]> =>
  page.evaluate(
    ([open, close]) => {
      // Marks stand in each other where one text is part of another.
      const rest = (text: string) => {
        for (let before = ''; before !== text; ) {
          before = text;
          text = text.replace(new RegExp(`${open}[^${open}${close}]*${close}`, 'g'), '');
        }
        // Numbers and what they are of.
        return text
          .replace(/\b(ms|kB|MB|B|s)\b/g, '')
          .match(/\p{L}{2,}/gu)
          ?.join(' ');
      };
      const isSaidToBe = (element: Element | null) =>
        element?.closest('[lang="en"], [lang="es"], [translate="no"], style, script, [hidden]') !== null;
      const found: string[] = [];
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const seen = new Set<Element>();
      while (walk.nextNode()) {
        const { parentElement } = walk.currentNode;
        if (!parentElement || isSaidToBe(parentElement) || seen.has(parentElement)) continue;
        seen.add(parentElement);
        // A sentence may be of several pieces, one of them a mark's.
        const own = [...parentElement.childNodes].filter(({ nodeType }) => nodeType === Node.TEXT_NODE);
        const words = rest(own.map(({ textContent }) => textContent).join(''));
        if (words) found.push(words);
      }
      for (const element of document.querySelectorAll('*')) {
        if (isSaidToBe(element)) continue;
        for (const name of ['aria-label', 'title', 'placeholder', 'alt']) {
          const words = rest(element.getAttribute(name) ?? '');
          if (words) found.push(`${name}: ${words}`);
        }
      }
      return found;
    },
    [OPEN, CLOSE] as const,
  );

describe.skipIf(!chromiumPath)(`the languages of the page${skipReason}`, () => {
  let folder: string;
  let server: PageServer;
  let browser: TestBrowser;
  let page: Page;
  const button = (name: string) => page.getByRole('button', { name: `${OPEN}${name}${CLOSE}`, exact: true });

  beforeAll(async () => {
    folder = await partOfBundle(join(bundlesDirectory, OMNIGLOT_BUNDLE), ['head']);
    server = await startPageServer(folder);
    browser = await openBrowser({ compileOnce: true, context: { locale: 'de-DE', serviceWorkers: 'block' } });
    page = await browser.context.newPage();
    await page.route(/\/assets\/de-[^/]*\.js$/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: marked(await response.text()) });
    });
    await page.goto(server.url);
    await page.locator('.classes').waitFor();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    if (folder) await rm(folder, { recursive: true });
  });

  it('on a first visit, each word is in the file of messages', async () => {
    expect(await page.getByText(`${OPEN}Deine Dinge${CLOSE}`).count()).toBe(1);
    expect(await unmarked(page)).toEqual([]);
    for (const tab of ['Kamera', 'Bild', 'Malen']) {
      await page.getByRole('tab', { name: `${OPEN}${tab}${CLOSE}` }).click();
      expect(await unmarked(page)).toEqual([]);
    }
  });

  it('when it has learned, to engineers too', async () => {
    await button('Oder mit fertigen Bildern ausprobieren').click();
    await page.locator('.status-line.learned').waitFor();
    await page.getByText('Für Technikleute').click();
    await page.locator('.chart canvas').waitFor();
    await page.getByRole('tab', { name: `${OPEN}Bild${CLOSE}` }).click();
    expect(withoutNames(await unmarked(page))).toEqual([]);
    // As German writes numbers.
    for (const text of await page.locator('.figures, .chart, .status-line.learned').allInnerTexts())
      expect(text).not.toMatch(/\d\.\d/);
  });

  it('in each dialog, and of what goes wrong', async () => {
    for (const [name, close] of [
      ['Als Webseite', 'Nicht jetzt'],
      ['Einen Link teilen', 'Fertig'],
    ] as const) {
      await button(name).click();
      await page.locator('dialog[open]').waitFor();
      if (name === 'Als Webseite') await page.getByText(/Eine Datei mit \d+,\d MB/).waitFor();
      expect(withoutNames(await unmarked(page))).toEqual([]);
      await page
        .locator('dialog[open]')
        .getByRole('button', { name: `${OPEN}${close}${CLOSE}`, exact: true })
        .click();
    }
    for (const [label, file] of [
      ['Bild, nach dem gefragt wird', 'notiz.png'],
      ['Projekt oder Gelerntes zum Öffnen', 'brief.txt'],
    ] as const) {
      await page
        .getByLabel(label)
        .setInputFiles({ name: file, mimeType: 'image/png', buffer: Buffer.from('meeting at nine') });
      await page.locator('.notice.problem', { hasText: file }).waitFor();
      expect(withoutNames(await unmarked(page))).toEqual([]);
      await button('Meldung schließen').click();
    }
    // Playwright's own words, as the page's service worker would fetch the texts past this test.
    expect(browser.problems.filter((text) => !text.includes('blocked by Playwright'))).toEqual([]);
  });
});

/** Without what the demo's things are called. */
const withoutNames = (words: readonly string[]): string[] =>
  words.filter((text) => !/^(aria-label: )?(plus|question mark|percent|dollar|equals)$/.test(text));
