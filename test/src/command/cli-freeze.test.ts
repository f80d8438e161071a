import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { photographs } from '../bundle/photographs.js';
import { writeGratings } from './drawn-classes.js';
import { runWhet } from './whet-process.js';

let cwd: string;
const whet = (...args: string[]) => runWhet(cwd, args);
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'whet-cli-freeze-'));
  await writeFile(join(cwd, 'plain.onnx'), photographs(3).model);
  await writeGratings(join(cwd, 'data'), { day: 2 }, { images: 4, first: 60 });
  for (const out of ['b', 'other']) {
    const more = out === 'b' ? [] : ['--head', 'prototype'];
    const { code, err } = await whet('compile', 'plain.onnx', '--out', out, ...more);
    expect([code, err]).toEqual([0, '']);
  }
  const adapted = await whet('adapt', 'b', '--examples', 'data/day', '--out', 'me.profile');
  expect(adapted.code, adapted.err).toBe(0);
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

describe('whet freeze', () => {
  it('writes a profile as one model, whose frozen part the exporter wrote, and says what that takes and tells', async () => {
    const { code, out, err } = await whet('freeze', 'b', '--profile', 'me.profile', '--out', 'me.onnx');
    expect(code, err).toBe(0);
    expect(out).toMatch(/^me\.onnx: [\d.]+ kB, "images" \[N, 1, 8, 8\], preprocessed as its metadata says\n/);
    expect(out).toContain('"probabilities" [N, 2]: class-60, class-61\n');
    const session = await ort.InferenceSession.create(await readFile(join(cwd, 'me.onnx')));
    const { probabilities } = await session.run({ images: new ort.Tensor(new Float32Array(64), [1, 1, 8, 8]) });
    await session.release();
    expect(probabilities?.dims).toEqual([1, 2]);
  });

  it('writes one that takes pixels', async () => {
    const { out } = await whet('freeze', 'b', '--profile', 'me.profile', '--out', 'pixels.onnx', '--pixels');
    expect(out).toContain('"pixels" [N, height, width, 1], bytes of any size, brought to 8 x 8 as a whole');
    const session = await ort.InferenceSession.create(await readFile(join(cwd, 'pixels.onnx')));
    const pixels = new ort.Tensor('uint8', new Uint8Array(2 * 20 * 30).fill(90), [2, 20, 30, 1]);
    const { probabilities } = await session.run({ pixels });
    await session.release();
    expect(probabilities?.dims).toEqual([2, 2]);
  });

  it('names a profile of another bundle, and one that is not there', async () => {
    const other = await whet('freeze', 'other', '--profile', 'me.profile');
    expect([other.code === 0, other.err]).toEqual([
      false,
      expect.stringContaining('profile: made with another bundle'),
    ]);
    const none = await whet('freeze', 'b', '--profile', 'none.profile');
    expect(none.err).toContain('none.profile: expected a profile of `whet adapt`, got no such file');
  });
});
