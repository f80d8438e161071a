import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';

/** What axe-core finds wrong with a page as it is now, in words; rules may be left out by their names. */
export async function violationsOf(page: Page, leftOut: readonly string[] = []): Promise<readonly string[]> {
  const isThere = await page.evaluate(() => 'axe' in globalThis);
  if (!isThere) {
    await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  }
  const rules = Object.fromEntries(leftOut.map((name) => [name, { enabled: false }]));
  const { violations } = (await page.evaluate(`axe.run(${JSON.stringify({ rules })})`)) as AxeResults;
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
}
