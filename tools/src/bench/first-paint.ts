import type { Page } from 'playwright-core';
import { openBrowser } from '../page/browser.js';
import { PageDriver } from '../page/driver.js';

/** Processor time of a visit until something is painted, in ms: of the page's own process, and of all of the browser. */
export interface FirstPaint {
  readonly page: number;
  readonly browser: number;
}

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  /** Microseconds: when it began, and the processor time of its thread that it took. */
  readonly ts: number;
  readonly tdur?: number;
}

/** What threads do one after the other; none of it lies inside another. */
const TASKS: ReadonlySet<string> = new Set([
  'ThreadControllerImpl::RunTask',
  'ThreadPool_RunTask',
  'TaskGraphRunner::RunTask',
]);

/** A first visit and a later one, in a browser that has never seen anything, by Chromium's trace. */
export async function traceFirstPaint(
  url: string,
): Promise<{ readonly first: FirstPaint; readonly later: FirstPaint }> {
  const { context, close } = await openBrowser();
  const page = await context.newPage();
  const first = await traceVisit(page, url);
  // What the service worker keeps, it keeps by then.
  await page.getByText('it works without a network').waitFor();
  const later = await traceVisit(page, url);
  await close();
  return { first, later };
}

async function traceVisit(page: Page, url: string): Promise<FirstPaint> {
  const browser = page.context().browser();
  if (!browser) throw new Error('expected a page of a browser');
  await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline', 'loading', 'blink.user_timing'] });
  await new PageDriver(page).open(url);
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
  const paint = traceEvents.find(({ name }) => name === 'firstContentfulPaint');
  const began = traceEvents.find(({ name }) => name === 'navigationStart');
  if (!paint || !began) throw new Error('expected a navigation and its first paint in the trace');
  const tasks = traceEvents.filter(({ name, ts }) => TASKS.has(name) && ts >= began.ts && ts <= paint.ts);
  const spent = (those: readonly TraceEvent[]) => those.reduce((sum, { tdur = 0 }) => sum + tdur, 0) / 1000;
  return { page: spent(tasks.filter(({ pid }) => pid === paint.pid)), browser: spent(tasks) };
}
