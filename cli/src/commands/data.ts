import { join } from 'node:path';
import type { EmojiFolder } from '@whet/trainer';
import { Command, Option } from 'commander';
import { count, wholeNumber } from '../arguments.js';
import { interruptible } from '../interrupt.js';
import { type Progress, startProgress } from '../progress.js';
import { listed } from '../unread.js';

interface EmojiCommandOptions {
  readonly out: string;
  readonly sets: string;
  readonly styles?: string[];
  readonly holdBackStyle?: string[];
  readonly only?: EmojiFolder[];
  readonly licences: 'any' | 'permissive';
  readonly least?: number;
  readonly size: number;
  readonly drawings: number;
  readonly seed: number;
}

export function dataCommand(): Command {
  const data = new Command('data').description('Make a data set to train on.');
  data
    .command('emoji')
    .description(
      'Drawings of things from openly licensed emoji sets (npm packages @iconify-json/*): a thing is a class, drawn by several teams.',
    )
    .requiredOption(
      '--out <dir>',
      'new or empty folder for <split>/<thing>/<set>-<n>.webp, manifest.json and CREDITS.md',
    )
    .option('--sets <dir>', 'folder of the project that has the sets in its node_modules', '.')
    .option('--styles <set...>', 'which sets, such as noto twemoji (default: nine)')
    .option('--hold-back-style <set...>', 'sets whose pictures stand in held-back alone, of things of the split test')
    .addOption(
      new Option('--only <folder...>', 'make pictures for these alone (default: all)').choices([
        'train',
        'validation',
        'test',
        'held-back',
      ] satisfies EmojiFolder[]),
    )
    .addOption(
      new Option('--licences <which>', 'permissive: only sets under MIT, Apache-2.0 or CC-BY-4.0')
        .choices(['any', 'permissive'])
        .default('any'),
    )
    .option('--least <n>', 'sets that draw a thing, at least (default: three quarters of them)', count)
    .option('--size <pixels>', 'width and height of a picture', count, 128)
    .option('--drawings <n>', 'pictures of each drawing: turned, lit, on other backgrounds', count, 3)
    .option('--seed <n>', 'other turns, lights and backgrounds', wholeNumber, 0)
    .action(runEmoji);
  return data;
}

async function runEmoji({
  out,
  styles,
  holdBackStyle,
  licences,
  least,
  ...options
}: EmojiCommandOptions): Promise<void> {
  const { makeEmojiData } = await import('@whet/trainer');
  const { signal, stop } = interruptible();
  const bars = new Map<string, Progress>();
  try {
    const made = await makeEmojiData(out, {
      ...options,
      ...(styles && { styles }),
      ...(holdBackStyle && { holdBack: holdBackStyle }),
      ...(least !== undefined && { least }),
      permissive: licences === 'permissive',
      signal,
      onProgress: (what, done, total) => {
        const bar = bars.get(what) ?? startProgress(what === 'drawings' ? 'look' : 'draw', total);
        bars.set(what, bar);
        bar.update(done, what);
      },
    });
    for (const bar of bars.values()) bar.stop();
    const { classes, things, pictures, sets, leftOut, undrawn } = made;
    const licenceOf = ({ style, licence }: (typeof sets)[number]) => `${style} (${licence.spdx ?? licence.title})`;
    if (leftOut.length > 0) process.stderr.write(`left out for their licence: ${leftOut.map(licenceOf).join(', ')}\n`);
    if (undrawn.length > 0) {
      const names = undrawn.map(({ set, icon }) => `${set}:${icon}`);
      process.stderr.write(`left out ${undrawn.length} drawings that cannot be drawn: ${listed(names)}\n`);
    }
    const folders = Object.entries(classes).flatMap(([folder, count]) => (count > 0 ? [`${folder} ${count}`] : []));
    process.stdout.write(
      `${out}: ${pictures} pictures of ${things} things by ${sets.length} sets; ${folders.join(', ')}; who drew them: ${join(out, 'CREDITS.md')}\n`,
    );
  } catch (cause) {
    if (signal.aborted) throw new Error('interrupted; nothing was kept', { cause });
    throw cause;
  } finally {
    for (const bar of bars.values()) bar.stop();
    stop();
  }
}
