import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BRIGHT, photographs } from '../bundle/photographs.js';
import { runWhet } from './whet-process.js';

// Steps below the head, on plain pictures: views of them leave nothing to learn.

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-cli-spared-'));
  await writeFile(join(folder, 'm.onnx'), photographs(5).model);
  for (const [name, level] of [
    ['dark', 0],
    ['light', 255],
  ] as const) {
    await mkdir(join(folder, 'data', name), { recursive: true });
    const create = { width: 8, height: 8, channels: 3, background: { r: level, g: level, b: level } } as const;
    for (let i = 0; i < 5; i++) await sharp({ create }).toFile(join(folder, 'data', name, `${i}.png`));
  }
  const patterns = ['--pattern', 'head=none', '--pattern', 'last=last:1', '--rate', '0.01', '--steps', '10'];
  const form = ['--mean', '0.5', '--std', String(0.5 / BRIGHT)];
  await whet('compile', 'm.onnx', '--out', 'b', ...patterns, ...form);
});
afterAll(() => rm(folder, { recursive: true }));

/** Throws what a command that fails says. */
async function whet(...args: string[]): Promise<string> {
  const { code, out, err } = await runWhet(folder, args);
  if (code !== 0) throw new Error(err);
  return out;
}

const reason =
  /no steps: views of the examples have a loss of 0\.0\d\d, which leaves nothing to learn \(--always takes them\)\n/;
const refusal = 'expected a pattern by its name, as its steps are always taken, got "auto"';

describe('whet adapt', () => {
  const adapt = (...more: string[]) => whet('adapt', 'b', '--examples', 'data', '--out', 'p', ...more);

  it('says why it took no steps, and takes them where that is asked for', async () => {
    const spared = await adapt('--pattern', 'last');
    expect(spared).toContain('10 examples of 2 classes, pattern last, 0 steps, head solved for: ');
    expect(spared).toMatch(reason);
    const always = await adapt('--pattern', 'last', '--always');
    expect(always).toContain('10 examples of 2 classes, pattern last, 10 steps, head solved for: ');
    expect(always).not.toContain('no steps');
  });

  it('refuses to take steps always where the pattern is chosen by whether they pay', async () => {
    await expect(adapt('--pattern', 'auto', '--always')).rejects.toThrow(refusal);
  });
});

describe('whet evaluate', () => {
  const task = ['--ways', '2', '--shots', '2', '--queries', '2', '--tasks', '3', '--threads', '1'];
  const evaluate = (...more: string[]) => whet('evaluate', 'b', '--data', 'data', ...task, ...more);

  it('counts tasks whose steps were spared, of patterns whose steps may be', async () => {
    const rows = JSON.parse(await evaluate('--pattern', 'all', 'auto', '--json'));
    expect(rows).toMatchObject([
      { pattern: 'head', spared: null },
      { pattern: 'last', spared: 3, steps: 0 },
      { pattern: 'auto', spared: null },
    ]);
    const table = await evaluate('--pattern', 'all');
    expect(table).toMatch(/│ steps │ +spared │/);
    expect(table).toMatch(/│ last .*│ +0 │ 3 of 3 │/);
    expect(table).toMatch(/│ head .*│ +0 │ +- │/);
    expect(table).toContain('\nSpared: tasks ');
    expect(table).toContain('examples with views, and those of auto, in each task again.');
  });

  it('takes all steps where that is asked for, records so, and refuses it of what chooses a pattern', async () => {
    const rows = JSON.parse(await evaluate('--pattern', 'all', '--always', '--json'));
    expect(rows).toMatchObject([
      { pattern: 'head', spared: null },
      { pattern: 'last', spared: null, steps: 10, command: expect.stringContaining(' --always') },
    ]);
    expect(await evaluate('--pattern', 'all', '--always')).not.toMatch(/spared/i);
    await expect(evaluate('--pattern', 'auto', '--always')).rejects.toThrow(refusal);
  });
});
