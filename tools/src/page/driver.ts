import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';

/** What a person does with the page, by what they see of it. */
export class PageDriver {
  constructor(readonly page: Page) {}

  readonly button = (name: string | RegExp) =>
    this.page.getByRole('button', typeof name === 'string' ? { name, exact: true } : { name });

  /** In its card: `Adapt`, or `Adapt again`. */
  get adaptButton() {
    return this.page.locator('.adapt').getByRole('button', { name: /^Adapt/ });
  }

  /** Opens the page and waits until it can be used. */
  async open(url: string): Promise<void> {
    await this.page.goto(url);
    await this.ready();
  }

  ready(): Promise<void> {
    return this.page.getByRole('heading', { name: 'Classes' }).waitFor({ timeout: 150_000 });
  }

  /** Chooses what may move: a pattern, or `auto`. */
  async pattern(name: string): Promise<void> {
    await this.page.getByLabel('Pattern: what may move').selectOption(name);
  }

  source(name: 'Draw' | 'Upload' | 'Camera'): Promise<void> {
    return this.page.getByRole('tab', { name }).click();
  }

  /** Adds the example characters: 5 classes of 5. */
  async demo(): Promise<void> {
    await this.button('Start with 5 example characters').click();
    await this.page.locator('.thumb').nth(24).waitFor();
  }

  /** Renames the profile that is shown. */
  async rename(name: string): Promise<void> {
    await this.page.getByLabel('More about this profile').click();
    await this.button('Rename').first().click();
    await this.page.getByRole('dialog').getByRole('textbox').fill(name);
    await this.page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click();
  }

  /** Deletes the profile that is shown. */
  async delete(): Promise<void> {
    await this.page.getByLabel('More about this profile').click();
    await this.button('Delete').click();
    await this.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await this.page.getByText(/^Deleted "/).waitFor();
  }

  /** A folder with a folder of pictures for each class. */
  async addFolder(directory: string, pictures: number): Promise<void> {
    await this.source('Upload');
    await this.page.getByLabel('Folder of classes').setInputFiles(directory);
    await this.page
      .locator('.thumb')
      .nth(pictures - 1)
      .waitFor();
  }

  /** Several pictures of one class. */
  async addPictures(name: string, files: readonly string[]): Promise<void> {
    await this.source('Upload');
    await this.page.getByLabel('Pictures', { exact: true }).setInputFiles([...files]);
    await this.page.getByLabel(`Class of these ${files.length} pictures`).fill(name);
    await this.button('Add all').click();
  }

  /** Adapts, and returns what the page says it took. */
  async adapt(): Promise<string> {
    await this.adaptButton.click();
    await this.page.getByText(/^Adapted to/).waitFor({ timeout: 120_000 });
    const said = await this.page.locator('.notice').innerText();
    await this.button('Close this message').click();
    return said;
  }

  /** The probabilities that the page shows for a picture, by class. */
  async predict(file: string | { name: string; mimeType: string; buffer: Buffer }): Promise<Record<string, number>> {
    const shown = this.page.locator('.prediction');
    const before = (await shown.count()) > 0 ? await shown.getAttribute('data-query') : null;
    await this.page.getByLabel('Pictures', { exact: true }).setInputFiles(file);
    await this.page.locator(`.prediction:not([data-query="${before}"])`).waitFor();
    const rows = await this.page
      .locator('.prediction li')
      .evaluateAll((items) =>
        items.map(
          (item) => [item.getAttribute('data-label') ?? '', Number(item.getAttribute('data-probability'))] as const,
        ),
      );
    return Object.fromEntries(rows);
  }

  /** The bytes of the exported profile, or of what another button of the menu exports. */
  async export(as = 'Export'): Promise<Uint8Array> {
    await this.page.getByLabel('More about this profile').click();
    const download = this.page.waitForEvent('download');
    await this.button(as).click();
    const path = await (await download).path();
    return new Uint8Array(await readFile(path));
  }

  async import(name: string, bytes: Uint8Array): Promise<void> {
    const file = { name, mimeType: 'application/octet-stream', buffer: Buffer.from(bytes) };
    await this.page.getByLabel('Profile file to import').setInputFiles(file);
  }

  notice(): Promise<string> {
    return this.page.locator('.notice span').innerText();
  }
}

/** The most probable class. */
export function best(probabilities: Readonly<Record<string, number>>): string {
  return Object.entries(probabilities).reduce((a, b) => (b[1] > a[1] ? b : a))[0];
}
