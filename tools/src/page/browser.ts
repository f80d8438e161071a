import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';

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
/** What the address bar shows is a page of its own, in each window: most of a second of processor time that nobody sees. */
const UNSEEN_FEATURES = ['WebUIOmniboxPopup', 'WebUIOmniboxAimPopup'];
/** Playwright's own list, without what is of Windows and Edge: of two lists Chromium takes the last. */
const PLAYWRIGHT_DISABLES = [
  'AimEnabled',
  'AvoidCorsURLLoaderRestartOnRedirect',
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'DestroyProfileOnBrowserClose',
  'HttpsFirstBalancedModeAutoEnable',
  'HttpsUpgrades',
  'LensOverlay',
  'MediaRouter',
  'NetworkTimeServiceQuerying',
  'OptimizationHints',
  'PaintHolding',
  'PreconnectToSearch',
  'ThirdPartyStoragePartitioning',
];
const GPU_ARGUMENTS = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  // It ends what takes long, as a GPU in software does on a busy machine.
  '--disable-gpu-watchdog',
];

type ContextOptions = NonNullable<Parameters<Browser['newContext']>[0]>;

export interface BrowserOptions {
  /** WebGPU on SwiftShader, a GPU in software. */
  readonly gpu?: boolean;
  /** WebAssembly is compiled once and not again to run faster: a page that computes little opens with less work. */
  readonly compileOnce?: boolean;
  readonly arguments?: readonly string[];
  readonly context?: ContextOptions;
}

/** A browser as one person has it, which has never seen anything. */
export interface TestContext {
  readonly context: BrowserContext;
  /** Errors and warnings in consoles, and errors that nobody caught. */
  readonly problems: string[];
}

export interface TestBrowser extends TestContext {
  /** Of another person, in the same program: starting one takes a second. */
  another(options?: ContextOptions): Promise<TestContext>;
  close(): Promise<void>;
}

/** A headless Chromium that has never seen anything. */
export async function openBrowser({
  gpu = false,
  compileOnce = false,
  context,
  ...options
}: BrowserOptions = {}): Promise<TestBrowser> {
  const browser = await chromium.launch({
    executablePath: chromiumPath as string,
    headless: true,
    args: [
      ...ARGUMENTS,
      `--disable-features=${[...PLAYWRIGHT_DISABLES, ...UNSEEN_FEATURES].join()}`,
      ...(gpu ? GPU_ARGUMENTS : ['--disable-gpu']),
      ...(compileOnce ? ['--js-flags=--liftoff-only'] : []),
      ...(options.arguments ?? []),
    ],
  });
  const another = (options?: ContextOptions) => openContext(browser, options);
  return { ...(await another(context)), another, close: () => browser.close() };
}

async function openContext(browser: Browser, options: ContextOptions = {}): Promise<TestContext> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    acceptDownloads: true,
    ...options,
  });
  // A machine that does other things too is slow, not wrong.
  context.setDefaultTimeout(90_000);
  const problems: string[] = [];
  context.on('console', (message) => {
    const { url } = message.location();
    // Chromium's own words where there is no GPU, and of an icon that it looks for where a document names none.
    const isOwn = /No available adapters/.test(message.text()) || url.endsWith('/favicon.ico');
    if (['error', 'warning'].includes(message.type()) && !isOwn)
      problems.push(`${message.type()}: ${message.text()} (${url})`);
  });
  context.on('weberror', (error) => problems.push(`uncaught: ${error.error().message}`));
  return { context, problems };
}
