import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readModel } from '@whet/trainer';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convolutions, mobile, networkOf } from '../compile/block-networks.js';
import { runWhet } from './whet-process.js';

const model = networkOf(mobile);
let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'whet-cli-compile-'));
  await writeFile(join(cwd, 'mobile.onnx'), model);
  await writeFile(join(cwd, 'plain.onnx'), networkOf(convolutions('a', 'b', 'c')));
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

/** The first table that a command prints, line by line, by the names of its columns. */
async function tableOf(...args: string[]): Promise<{ out: string; rows: Record<string, string>[] }> {
  const { code, out, err } = await runWhet(cwd, ['compile', ...args]);
  expect(err).toBe('');
  expect(code).toBe(0);
  const [, table = ''] = /┌([^┌]*)└/.exec(out) ?? [];
  const [head = [], ...lines] = table
    .split('\n')
    .filter((line) => line.startsWith('│'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('│')
        .map((cell) => cell.trim()),
    );
  return { out, rows: lines.map((cells) => Object.fromEntries(cells.map((cell, i) => [head[i], cell]))) };
}

const column = (rows: readonly Record<string, string>[], name: string) => rows.map((row) => row[name]);

describe('whet compile', () => {
  const patterns = ['--pattern', 'head=none', '--pattern', 'deep=blocks:2', '--pattern', 'few=b.*.weight,f.*.bias'];

  it('prints a line a block, called as selections call it', async () => {
    const { out, rows } = await tableOf('mobile.onnx', '--out', 'blocks', ...patterns);
    const names = [6, 5, 4, 3, 2, 1].map((n) => `blocks:${n}`);
    expect(column(rows, 'block')).toEqual(['below', ...names, 'above']);
    expect(column(rows, 'moves in')).toEqual(['', '', 'few (in part)', '', '', 'deep', 'deep few (in part)', 'deep']);
    expect(rows[3]).toMatchObject({ 'first parameter': 'c.expand.weight', 'last parameter': 'c.project.norm.bias' });
    const { parameters } = await readModel(model, {});
    const sizes = parameters.flatMap(({ shape, moment }) => (moment ? [] : [shape.reduce((a, b) => a * b, 1)]));
    const numbers = column(rows, 'numbers').map(Number);
    expect(numbers.reduce((a, b) => a + b, 0)).toBe(sizes.reduce((a, b) => a + b, 0));
    const moved = numbers.slice(-3).reduce((a, b) => a + b, 0);
    expect(out).toContain(`${moved} + head`);
    for (const cost of column(rows, 'multiply-adds')) expect(cost).toMatch(/^\d+\.\d\d M$/);
  });

  it('bounds what an adaptation may have, by options', async () => {
    await tableOf('mobile.onnx', '--out', 'wide', '--max-classes', '1000', '--max-examples', '5000');
    const { limits } = JSON.parse(await readFile(join(cwd, 'wide/manifest.json'), 'utf8'));
    expect(limits).toEqual({ maxClasses: 1000, maxExamples: 5000 });
    const none = await runWhet(cwd, ['compile', 'mobile.onnx', '--out', 'none', '--max-classes', '1']);
    expect([none.code === 0, none.err]).toEqual([
      false,
      expect.stringMatching(/--max-classes.*expected a whole number of 2 or more/s),
    ]);
  });

  it('prints every parameter where that is asked for', async () => {
    const { rows } = await tableOf('mobile.onnx', '--out', 'verbose', '--verbose', ...patterns);
    const { parameters } = await readModel(model, {});
    expect(column(rows, 'parameter')).toEqual(parameters.map(({ tensor }) => tensor));
    const moves = new Map(rows.map((row) => [row['parameter'], row['moves in']]));
    expect(moves.get('b.expand.weight')).toBe('few');
    expect(moves.get('f.expand.norm.bias')).toBe('deep few');
    expect(moves.get('f.expand.norm.running_mean')).toBe('never');
    expect(moves.get('stem.weight')).toBe('');
  });

  it('prints a line a layer of a network without blocks', async () => {
    const { rows } = await tableOf('plain.onnx', '--out', 'plain', '--pattern', 'p=last:2');
    expect(column(rows, 'layer')).toEqual(['last:3', 'last:2', 'last:1']);
    expect(column(rows, 'first parameter')).toEqual(['a.weight', 'b.weight', 'c.weight']);
    expect(column(rows, 'moves in')).toEqual(['', 'p', 'p']);
  });

  it('says which blocks there are, and none of a network without', async () => {
    const refused = async (file: string) =>
      (await runWhet(cwd, ['compile', file, '--out', 'refused', '--pattern', 'p=blocks:7'])).err;
    expect(await refused('mobile.onnx')).toContain(
      'the network has 6 blocks below the head; expected blocks:1 to blocks:6',
    );
    expect(await refused('plain.onnx')).toContain('no blocks that repeat; choose last:1 to last:3 or all');
  });

  describe('with a frozen part of bytes', () => {
    const compile = (...args: string[]) =>
      runWhet(cwd, ['compile', 'colours.onnx', '--trainable', 'last:1', '--out', 'small', ...args]);
    beforeAll(async () => {
      await writeFile(join(cwd, 'colours.onnx'), networkOf(convolutions('a', 'b', 'c'), true, 3));
      const picture = (red: number, i: number) =>
        sharp({ create: { width: 8, height: 8, channels: 3, background: { r: red, g: 20 * i, b: 90 } } })
          .png()
          .toBuffer();
      for (const [label, red] of Object.entries({ dark: 30, light: 220 })) {
        await mkdir(join(cwd, 'pictures', label), { recursive: true });
        for (let i = 0; i < 6; i++) await writeFile(join(cwd, 'pictures', label, `${i}.png`), await picture(red, i));
      }
      await mkdir(join(cwd, 'none'));
    });

    it('says what of it are bytes and what was lost, by images of classes and by images alone', async () => {
      const { code, out, err } = await compile('--quantize', 'int8', '--calibrate', 'pictures', '--half');
      expect([code, err]).toEqual([0, '']);
      expect(out).toContain('The frozen part computes with bytes:');
      expect(out).toMatch(/trainable │ +2 of 2 │ +[\d.]+ % │ +-?[\d.]+ ± [\d.]+ points of 8 images │/);
      const flat = await compile('--quantize', 'int8', '--calibrate', 'pictures/dark', '--ranges', 'min-max');
      expect(flat.out).toContain('not measured: it takes two classes of three images');
      const two = await compile('--quantize', 'int8', '--calibrate', 'pictures/dark', 'pictures/light');
      // Pictures of no class tell nothing apart.
      expect(two.out).toContain('not measured');
      const few = await compile('--quantize', 'int8', '--calibrate', 'pictures', '--budget', '0');
      expect(few.code === 0 ? few.out : few.err).toMatch(/points/);
    });

    it.each([
      [['--calibrate', 'pictures', '--budget', '1'], '--calibrate, --budget: expected --quantize int8 with it'],
      [
        ['--quantize', 'int8'],
        '--quantize: expected --calibrate FOLDER with images like those that will be adapted to',
      ],
      [['--quantize', 'int8', '--calibrate', 'none'], '--calibrate none: expected'],
      [['--quantize', 'int8', '--calibrate', 'nowhere'], '--calibrate nowhere: expected'],
      [
        ['--quantize', 'int8', '--calibrate', 'pictures/dark', '--budget', '1'],
        'budget: expected images of two classes',
      ],
      [['--quantize', 'int4', '--calibrate', 'pictures'], 'Allowed choices are int8'],
    ])('refuses %s', async (args, message) => {
      const { code, err } = await compile(...args);
      expect(code).toBe(1);
      expect(err).toContain(message);
    });

    it('names an image that cannot be read', async () => {
      await writeFile(join(cwd, 'pictures/dark/7.png'), 'no image');
      const { err } = await compile('--quantize', 'int8', '--calibrate', 'pictures');
      expect(err).toContain('pictures/dark/7.png');
    });
  });
});
