import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import puppeteer, { type ElementHandle } from 'puppeteer-core';
import { By } from 'selenium-webdriver';
import { startWebKit, webkitPrograms } from './webkit.js';

// Browsers that Playwright drives only in builds of its own, as Debian has them: Firefox by WebDriver BiDi, WebKit by its WebDriver.

/** A browser that has never seen anything, with one page. Elements are named by XPath, which both drivers know. */
export interface OtherBrowser {
  open(url: string): Promise<unknown>;
  reload(): Promise<unknown>;
  /** What an expression comes to in the page; of a promise, once it has come. */
  run<T>(expression: string): Promise<T>;
  click(element: string): Promise<unknown>;
  choose(input: string, files: readonly string[]): Promise<unknown>;
  /** Where the browser saves what is downloaded. */
  readonly downloads: string;
  /** Errors and warnings in the console, and errors that nobody caught. */
  problems(): Promise<readonly string[]>;
  close(): Promise<void>;
}

export interface OtherBrowserKind {
  readonly name: string;
  /** Why its tests are skipped; empty where they run. */
  readonly skipReason: string;
  start(): Promise<OtherBrowser>;
}

const firefoxPath = [process.env['WHET_FIREFOX'], '/usr/bin/firefox-esr', '/usr/bin/firefox'].find(
  (path) => path !== undefined && existsSync(path),
);

/** Firefox and WebKit, whether they are installed or not. */
export const otherBrowsers: readonly OtherBrowserKind[] = [
  {
    name: 'Firefox',
    skipReason: firefoxPath ? '' : ' (skipped: no Firefox; install firefox-esr or set WHET_FIREFOX)',
    start: () => openFirefox(firefoxPath as string),
  },
  {
    name: 'WebKit',
    skipReason: webkitPrograms ? '' : ' (skipped: no WebKit; install webkit2gtk-driver and xvfb)',
    start: openWebKit,
  },
];

async function openFirefox(executablePath: string): Promise<OtherBrowser> {
  const downloads = await mkdtemp(join(tmpdir(), 'whet-firefox-'));
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    extraPrefsFirefox: {
      // A camera that plays colours, and nobody is asked.
      'media.navigator.streams.fake': true,
      'media.navigator.permission.disabled': true,
      'browser.download.folderList': 2,
      'browser.download.dir': downloads,
      'browser.download.useDownloadDir': true,
      'browser.download.always_ask_before_handling_new_types': false,
      'browser.helperApps.neverAsk.saveToDisk': 'application/octet-stream',
    },
    protocolTimeout: 90_000,
  });
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 900 });
  const problems: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warn'].includes(message.type())) problems.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`uncaught: ${String(error)}`));
  const element = (xpath: string) => page.locator(`::-p-xpath(${xpath})`).setTimeout(60_000);
  return {
    open: (url) => page.goto(url),
    reload: () => page.reload(),
    run: <T>(expression: string) => page.evaluate(expression) as Promise<T>,
    click: (xpath) => element(xpath).click(),
    choose: async (xpath, files) => {
      // Chosen by the page itself: nobody sees the field.
      const input = (await page.waitForSelector(`::-p-xpath(${xpath})`)) as ElementHandle<HTMLInputElement>;
      await input.uploadFile(...files);
    },
    downloads,
    problems: async () => problems,
    close: async () => {
      await browser.close();
      await rm(downloads, { recursive: true, force: true });
    },
  };
}

/** WebKit has no console for its driver: what is said there is listened to by the page, from when it was loaded. */
const LISTEN = `globalThis.problemsSaid = [];
  const say = (kind) => (...said) => void problemsSaid.push(kind + ': ' + said.join(' '));
  Object.assign(console, { error: say('error'), warn: say('warning') });
  addEventListener('error', ({ message }) => say('uncaught')(message));
  addEventListener('unhandledrejection', ({ reason }) => say('uncaught')(reason));
  addEventListener('securitypolicyviolation', ({ blockedURI, violatedDirective }) => say(violatedDirective)(blockedURI));`;

async function openWebKit(): Promise<OtherBrowser> {
  const { driver, downloads, close } = await startWebKit();
  const problems = () => driver.executeScript<string[]>('return globalThis.problemsSaid ?? []');
  const before: string[] = [];
  const load = async (go: () => Promise<void>) => {
    before.push(...(await problems()));
    await go();
    await driver.executeScript(LISTEN);
  };
  return {
    open: (url) => load(() => driver.get(url)),
    reload: () => load(() => driver.navigate().refresh()),
    run: <T>(expression: string) => driver.executeScript<T>(`return ${expression}`),
    click: (xpath) => driver.findElement(By.xpath(xpath)).click(),
    choose: (xpath, files) => driver.findElement(By.xpath(xpath)).sendKeys(files.join('\n')),
    downloads,
    problems: async () => [...before, ...(await problems())],
    close,
  };
}

/** Waits until an expression is true in the page. */
export async function until(browser: OtherBrowser, expression: string, milliseconds = 90_000): Promise<void> {
  for (const end = performance.now() + milliseconds; ; ) {
    if (await browser.run<boolean>(`Boolean(${expression})`)) return;
    if (performance.now() > end) {
      const text = await browser.run<string>('document.body.innerText');
      throw new Error(`expected ${expression} in ${milliseconds} ms, got the page:\n${text}`);
    }
    await sleep(200);
  }
}

/** Waits until a file of this ending is there whole, and returns what is in it. */
export async function downloaded({ downloads }: OtherBrowser, ending: string): Promise<Uint8Array> {
  for (const end = performance.now() + 60_000; performance.now() < end; ) {
    const name = (await readdir(downloads)).find((file) => file.endsWith(ending));
    const bytes = name && new Uint8Array(await readFile(join(downloads, name)));
    if (bytes && bytes.length > 0) return bytes;
    await sleep(200);
  }
  throw new Error(
    `expected a file *${ending} in the downloads, got ${(await readdir(downloads)).join(', ') || 'none'}`,
  );
}
