import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';

const candidates = [
  process.env['WHET_CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];

/** Chromium's program; undefined where there is none, and tests say so. */
export const chromiumPath: string | undefined = candidates.find((path) => path !== undefined && existsSync(path));

/** Why tests in a browser are skipped; undefined where they run. */
export const skipReason = chromiumPath ? '' : ' (skipped: no Chromium; install it or set WHET_CHROMIUM)';

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];
const GPU_ARGUMENTS = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];

export interface BrowserOptions {
  /** WebGPU on SwiftShader, a GPU in software. */
  readonly gpu?: boolean;
  /** WebAssembly is compiled once and not again to run faster: a page that computes little opens with less work. */
  readonly compileOnce?: boolean;
  readonly arguments?: readonly string[];
  readonly context?: NonNullable<Parameters<typeof chromium.launchPersistentContext>[1]>;
}

export interface TestBrowser {
  readonly context: BrowserContext;
  /** Errors and warnings in consoles, and errors that nobody caught. */
  readonly problems: string[];
  close(): Promise<void>;
}

/** A headless Chromium that has never seen anything. */
export async function openBrowser({
  gpu = false,
  compileOnce = false,
  context,
  ...options
}: BrowserOptions = {}): Promise<TestBrowser> {
  const directory = await mkdtemp(join(tmpdir(), 'whet-browser-'));
  const opened = await chromium.launchPersistentContext(directory, {
    executablePath: chromiumPath as string,
    headless: true,
    args: [
      ...ARGUMENTS,
      ...(gpu ? GPU_ARGUMENTS : ['--disable-gpu']),
      ...(compileOnce ? ['--js-flags=--liftoff-only'] : []),
      ...(options.arguments ?? []),
    ],
    viewport: { width: 1280, height: 900 },
    acceptDownloads: true,
    ...context,
  });
  // A machine that does other things too is slow, not wrong.
  opened.setDefaultTimeout(90_000);
  const problems: string[] = [];
  opened.on('console', (message) => {
    // Chromium's own word where there is no GPU.
    if (['error', 'warning'].includes(message.type()) && !/No available adapters/.test(message.text())) {
      problems.push(`${message.type()}: ${message.text()} (${message.location().url})`);
    }
  });
  opened.on('weberror', (error) => problems.push(`uncaught: ${error.error().message}`));
  return {
    context: opened,
    problems,
    close: async () => {
      await opened.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
