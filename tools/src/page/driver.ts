import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';

/** A file that is chosen: by its path, or by what is in it. */
type Chosen = string | { name: string; mimeType: string; buffer: Buffer };

/** What a person does with the page, by what they see of it. */
export class PageDriver {
  constructor(readonly page: Page) {}

  readonly button = (name: string | RegExp) =>
    this.page.getByRole('button', typeof name === 'string' ? { name, exact: true } : { name });

  /** What engineers look at. */
  get engineers() {
    return this.page.locator('.engineers');
  }

  /** Opens the page and waits until it can be used. */
  async open(url: string): Promise<void> {
    await this.page.goto(url);
    await this.ready();
  }

  ready(): Promise<void> {
    return this.page.locator('.classes').waitFor({ timeout: 150_000 });
  }

  /** Chooses a model by its name in plain words. */
  async model(title: string | RegExp): Promise<void> {
    await this.page.getByRole('radio', { name: title }).check({ force: true });
  }

  /** Unfolds what engineers look at. */
  async openEngineers(): Promise<void> {
    if ((await this.engineers.getAttribute('open')) === null) await this.page.getByText('For engineers').click();
  }

  /** Chooses what may move: a pattern, or `auto`. */
  async pattern(name: string): Promise<void> {
    await this.openEngineers();
    await this.page.getByLabel('Pattern: what may move').selectOption(name);
  }

  source(name: 'Draw' | 'Picture' | 'Camera'): Promise<void> {
    return this.page.getByRole('tab', { name }).click();
  }

  /** Adds the ready-made characters: 5 classes of 5. */
  async demo(): Promise<void> {
    await this.button('Or try it with ready-made pictures').click();
    await this.page.locator('.thumb').nth(24).waitFor();
  }

  /** Chooses something in the menu of the project. */
  async menu(name: string): Promise<void> {
    await this.page.getByLabel('More about this project').click();
    await this.page.locator('.menu-items').getByRole('button', { name, exact: true }).click();
  }

  /** Answers the question that is open. */
  async answer(button: string, text?: string): Promise<void> {
    const dialog = this.page.locator('dialog[open]');
    if (text !== undefined) await dialog.getByRole('textbox').fill(text);
    await dialog.getByRole('button', { name: button, exact: true }).click();
  }

  /** Makes a project and shows it. */
  async create(name: string): Promise<void> {
    await this.menu('New project');
    await this.answer('Create', name);
    await this.page.getByRole('list', { name: 'Three steps' }).waitFor();
  }

  /** Renames the project that is shown. */
  async rename(name: string): Promise<void> {
    await this.menu('Rename');
    await this.answer('Rename', name);
  }

  /** Deletes the project that is shown. */
  async delete(): Promise<void> {
    await this.menu('Delete');
    await this.answer('Delete');
    await this.page.getByText(/^Deleted “/).waitFor();
  }

  /** A folder with a folder of pictures for each class. */
  async addFolder(directory: string, pictures: number): Promise<void> {
    await this.page.getByLabel('Folder of classes').setInputFiles(directory);
    await this.page
      .locator('.thumb')
      .nth(pictures - 1)
      .waitFor();
  }

  /** The card of a thing. */
  readonly card = (name: string) => this.page.locator(`.class[data-name=${JSON.stringify(name)}]`);

  /** Gives a thing another name. */
  async name(from: string, to: string): Promise<void> {
    await this.page.getByLabel(`Name of ${from}`, { exact: true }).fill(to);
    await this.page.getByLabel(`Name of ${from}`, { exact: true }).blur();
  }

  /** Adds a thing with some pictures. */
  async addThing(name: string, files: readonly string[] | Exclude<Chosen, string>[]): Promise<void> {
    const number = (await this.page.locator('.class').count()) + 1;
    await this.button('Add a thing').click();
    await this.name(`Thing ${number}`, name);
    await this.page.getByLabel(`Pictures of ${name}`, { exact: true }).setInputFiles([...files] as string[]);
    await this.card(name)
      .locator('.thumb')
      .nth(files.length - 1)
      .waitFor();
  }

  /** Waits until it has learned from what is there, and returns what it says of that. */
  async learned(): Promise<string> {
    const line = this.page.locator('.status-line.learned');
    await line.waitFor({ timeout: 120_000 });
    return line.innerText();
  }

  /** Waits until a pattern has been adapted. */
  async adaptedBy(pattern: string): Promise<void> {
    await this.page.locator(`.engineers[data-adapted="${pattern}"]`).waitFor({ timeout: 120_000, state: 'attached' });
    await this.learned();
  }

  /** Has it learn again from the same pictures. */
  async adapt(): Promise<string> {
    await this.openEngineers();
    const before = Number(await this.engineers.getAttribute('data-count'));
    await this.button('Adapt again').click();
    await this.page.waitForFunction(
      (count) => Number(document.querySelector('.engineers')?.getAttribute('data-count')) > count,
      before,
      { timeout: 120_000 },
    );
    return this.learned();
  }

  /** The probabilities that the page shows for a picture, by class. */
  async predict(file: Chosen): Promise<Record<string, number>> {
    await this.source('Picture');
    const shown = this.page.locator('.prediction');
    const before = (await shown.count()) > 0 ? await shown.getAttribute('data-query') : null;
    await this.page.getByLabel('Picture to ask about').setInputFiles(file);
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

  /** The bytes of what a button saves. */
  async save(as = 'Save what it learned'): Promise<Uint8Array> {
    const download = this.page.waitForEvent('download');
    await this.page.locator('.keep').getByRole('button', { name: as, exact: true }).click();
    const path = await (await download).path();
    return new Uint8Array(await readFile(path));
  }

  /** The link that the dialog shows, which is made a moment after it opens. */
  async link(): Promise<string> {
    const made = await this.page.waitForFunction(
      () => document.querySelector<HTMLInputElement>('dialog[open].share input')?.value,
    );
    return made.jsonValue() as Promise<string>;
  }

  /** Opens a file: a project, or what one has learned. */
  async openFile(name: string, bytes: Uint8Array): Promise<void> {
    const file = { name, mimeType: 'application/octet-stream', buffer: Buffer.from(bytes) };
    await this.page.getByLabel('Project or profile to open').setInputFiles(file);
  }

  /** Takes back what was done last. */
  undo(): Promise<void> {
    return this.page.locator('.top').getByRole('button', { name: 'Undo' }).click();
  }

  /** Waits for a problem that is said, and closes it. */
  async problem(text: string | RegExp): Promise<void> {
    await this.page.locator('.notice.problem', { hasText: text }).waitFor();
    await this.button('Close this message').click();
  }

  /** Draws a line on the pad, of places in shares of its sides. */
  async line(points: readonly (readonly [x: number, y: number])[]): Promise<void> {
    const pad = this.page.getByRole('application', { name: /^Drawing pad/ });
    await pad.scrollIntoViewIfNeeded();
    const box = await pad.boundingBox();
    if (!box) throw new Error('expected a pad');
    for (const [i, [x, y]] of points.entries()) {
      await this.page.mouse.move(box.x + box.width * x, box.y + box.height * y, { steps: 5 });
      if (i === 0) await this.page.mouse.down();
    }
    await this.page.mouse.up();
  }
}

/** The most probable class. */
export function best(probabilities: Readonly<Record<string, number>>): string {
  return Object.entries(probabilities).reduce((a, b) => (b[1] > a[1] ? b : a))[0];
}
