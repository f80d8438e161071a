import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type EmojiData, generatorFor, makeEmojiData } from '@whet/trainer';
import { type Progress, startProgress } from 'whet';
import { thingsDirectory } from './demo-images.js';

/** Of two teams, under MIT and Apache-2.0; the shipped bundle was trained with none of these sets. */
const HELD_BACK_STYLES = ['fluent-emoji', 'fluent-emoji-flat', 'noto-v1'];
const DRAWINGS = 7;
const THINGS = 24;

/** Says whose pictures they are, as Markdown. */
function describe({ sets }: EmojiData, things: readonly string[]): string {
  const rows = sets
    .filter(({ style }) => HELD_BACK_STYLES.includes(style))
    .map(({ style, title, author, licence, package: name, packageVersion }) => {
      const cells = [
        `\`${style}\``,
        title,
        `[${author.name}](${author.url})`,
        `[${licence.spdx}](${licence.url})`,
        `${name} ${packageVersion}`,
      ];
      return `| ${cells.join(' | ')} |`;
    });
  return `# Things

${things.length * HELD_BACK_STYLES.length * DRAWINGS} pictures of ${things.length} things, for trying Whet on things that [photos-lite0](../bundles/photos-lite0/README.md) was not trained on, in styles that it has not
seen: \`things/<thing>/<set>-<n>.webp\`, 128 x 128, in colour. \`whet data emoji\` draws them, turned, lit and on varied backgrounds
([how](../../docs/training.md#drawings-of-things)); which of its test things are here, a generator of random numbers drew.

\`\`\`sh
npm install --no-save @iconify-json/...   # the nine sets, as docs/training.md lists them
npm run demo:things
\`\`\`

${things.map((thing) => `\`${thing}\``).join(', ')}.

## Credits

The drawings are their authors', under the licences of their sets; each was changed as said above.

| set | title | author | licence | read from |
|---|---|---|---|---|
${rows.join('\n')}
`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { sets: { type: 'string', default: '.' } } });
  const folder = await mkdtemp(join(tmpdir(), 'whet-things-'));
  const bars = new Map<string, Progress>();
  try {
    const data = await makeEmojiData(join(folder, 'emoji'), {
      sets: values.sets,
      holdBack: HELD_BACK_STYLES,
      only: ['held-back'],
      drawings: DRAWINGS,
      onProgress: (what, done, total) => {
        const bar = bars.get(what) ?? startProgress(what === 'drawings' ? 'look' : 'draw', total);
        bars.set(what, bar);
        bar.update(done, what);
      },
    });
    const made = join(folder, 'emoji/held-back');
    const whole: string[] = [];
    for (const thing of (await readdir(made)).sort()) {
      if ((await readdir(join(made, thing))).length === HELD_BACK_STYLES.length * DRAWINGS) whole.push(thing);
    }
    const things = generatorFor(0, 'demo-things', 0)
      .sample(whole.length, THINGS)
      .map((i) => whole[i] as string)
      .sort();
    // Nothing is removed before everything is drawn: a failure leaves the pictures as they were.
    await rm(thingsDirectory, { recursive: true, force: true });
    await mkdir(thingsDirectory, { recursive: true });
    for (const thing of things) await cp(join(made, thing), join(thingsDirectory, thing), { recursive: true });
    await writeFile(join(thingsDirectory, '../things.md'), describe(data, things));
  } finally {
    for (const bar of bars.values()) bar.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
