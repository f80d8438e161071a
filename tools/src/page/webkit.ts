import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Builder, Capabilities, type WebDriver } from 'selenium-webdriver';

const DRIVER = '/usr/bin/WebKitWebDriver';
const XVFB = '/usr/bin/Xvfb';
const browser = ['x86_64-linux-gnu', 'aarch64-linux-gnu']
  .map((machine) => `/usr/lib/${machine}/webkit2gtk-4.1/MiniBrowser`)
  .find(existsSync);

/** WebKit's driver, its browser, and a screen for it; undefined where one is missing. */
export const webkitPrograms =
  browser && existsSync(DRIVER) && existsSync(XVFB) ? { driver: DRIVER, browser, screen: XVFB } : undefined;

export interface WebKit {
  readonly driver: WebDriver;
  readonly downloads: string;
  close(): Promise<void>;
}

const ended = (child: ChildProcess) =>
  child.exitCode === null && child.signalCode === null
    ? new Promise((resolve) => child.once('exit', resolve))
    : undefined;

/** WebKit's own small browser, on a screen that nobody sees. */
export async function startWebKit(): Promise<WebKit> {
  if (!webkitPrograms) throw new Error('expected webkit2gtk-driver and xvfb, which are not installed');
  const home = await mkdtemp(join(tmpdir(), 'whet-webkit-'));
  const downloads = join(home, 'downloads');
  await mkdir(join(home, '.config'));
  await mkdir(downloads);
  await writeFile(join(home, '.config/user-dirs.dirs'), 'XDG_DOWNLOAD_DIR="$HOME/downloads"\n');
  const screen = spawn(webkitPrograms.screen, ['-displayfd', '3', '-screen', '0', '1280x1000x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const display = await new Promise<string>((resolve) =>
    (screen.stdio[3] as Readable).once('data', (number) => resolve(`:${String(number).trim()}`)),
  );
  const port = await freePort();
  const env = {
    ...process.env,
    HOME: home,
    XDG_CONFIG_HOME: join(home, '.config'),
    XDG_DATA_HOME: home,
    XDG_CACHE_HOME: home,
    DISPLAY: display,
    GDK_BACKEND: 'x11',
    // Without a GPU there is nothing to share pictures with.
    WEBKIT_DISABLE_DMABUF_RENDERER: '1',
  };
  const service = spawn(webkitPrograms.driver, [`--port=${port}`], { env, stdio: 'ignore' });
  const stop = async () => {
    service.kill();
    await ended(service);
    screen.kill();
    await ended(screen);
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const address = `http://127.0.0.1:${port}`;
    await listening(address);
    const capabilities = new Capabilities({
      browserName: 'MiniBrowser',
      'webkitgtk:browserOptions': {
        binary: webkitPrograms.browser,
        args: ['--automation', '--enable-mock-capture-devices=true', '--enable-media-stream=true'],
      },
    });
    const driver = await new Builder().usingServer(address).withCapabilities(capabilities).build();
    await driver.manage().setTimeouts({ script: 90_000 });
    return {
      driver,
      downloads,
      close: async () => {
        await driver.quit();
        await stop();
      },
    };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listening(address: string): Promise<void> {
  for (let i = 0; i < 150; i++) {
    if (await fetch(`${address}/status`).catch(() => undefined)) return;
    await sleep(100);
  }
  throw new Error(`expected WebKit's driver at ${address}, which does not answer`);
}
