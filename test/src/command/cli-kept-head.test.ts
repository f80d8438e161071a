import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gemm, LENGTH, SIDE, smallClassifier } from '../compile/small-classifier.js';
import { runWhet } from './whet-process.js';

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'whet-cli-kept-'));
  await writeFile(join(cwd, 'small.onnx'), smallClassifier(gemm));
  await writeFile(join(cwd, 'labels.txt'), 'cat\ndog\ncow\n');
  await writeFile(join(cwd, 'two.txt'), 'cat\ndog\n');
  for (const label of ['dog', 'owl']) {
    await mkdir(join(cwd, 'examples', label), { recursive: true });
    const pixels = Uint8Array.from({ length: LENGTH }, (_, i) => (label === 'dog' ? 4 * i : 255 - 4 * i));
    const image = sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 1 } });
    await image.png().toFile(join(cwd, 'examples', label, '1.png'));
  }
  await cp(join(cwd, 'examples'), join(cwd, 'data', 'train'), { recursive: true });
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

const whet = (...args: string[]) => runWhet(cwd, args);
const image = 'examples/dog/1.png';

interface Predicted {
  readonly probabilities: Record<string, number>;
}

describe('whet and a kept head', () => {
  it('compiles, predicts without a profile, and adds a class', async () => {
    const compiled = await whet('compile', 'small.onnx', '--out', 'b', '--head', 'keep', '--labels', 'labels.txt');
    expect(compiled.out).toContain('head: kept from "out", 3 classes (cat, dog, cow); other labels add classes');
    expect(compiled.out).toContain('one example and 3 classes');
    const classesOf = async (...args: string[]) => {
      const { out } = await whet('predict', '--bundle', 'b', '--json', ...args, image);
      return Object.keys((JSON.parse(out) as Predicted[])[0]?.probabilities ?? {});
    };
    expect(await classesOf('--no-profile')).toEqual(['cat', 'dog', 'cow']);
    const adapted = await whet('adapt', 'b', '--examples', 'examples');
    expect(adapted.out).toContain('2 examples of 4 classes, pattern head, 5 steps');
    expect(adapted.out).toContain('added to the bundle’s own classes: owl');
    expect(await classesOf()).toEqual(['cat', 'dog', 'cow', 'owl']);
  });

  it('says that a head of examples has no classes of its own', async () => {
    const { out } = await whet('compile', 'small.onnx', '--out', 'new');
    expect(out).toContain('head: cosine, of any number of classes');
    const refused = await whet('predict', '--bundle', 'new', '--no-profile', image);
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('expected a profile') });
  });

  it.each([
    [
      'a model that is a folder',
      ['compile', 'examples', '--out', 'bad'],
      'examples: expected an ONNX model, got a folder',
    ],
    [
      'labels that are a folder',
      ['compile', 'small.onnx', '--out', 'bad', '--head', 'keep', '--labels', 'examples'],
      'examples: expected a file of labels, got a folder',
    ],
    [
      'a profile that is a folder',
      ['predict', '--profile', 'examples', image],
      'examples: expected a profile of `whet adapt`, got a folder',
    ],
    [
      'a profile that is not there',
      ['predict', '--profile', 'gone', image],
      'gone: expected a profile of `whet adapt`, got no such file',
    ],
    [
      'settings that are a folder',
      ['train', '--data', 'data', '--config', 'examples'],
      'examples: expected settings, got a folder',
    ],
    [
      'settings that are no JSON',
      ['train', '--data', 'data', '--config', 'two.txt'],
      'two.txt: expected settings as JSON: ',
    ],
    [
      'a configuration that is a folder',
      ['serve', '--config', 'examples'],
      'examples: expected a file of settings, got a folder',
    ],
  ])('refuses a file by its name: %s', async (_, args, message) => {
    expect(await whet(...args)).toMatchObject({ code: 1, err: expect.stringContaining(message) });
  });

  it.each([
    ['too few labels', ['--head', 'keep', '--labels', 'two.txt'], 'expected 3, one for each class of the model, got 2'],
    [
      'a labels file that is not there',
      ['--head', 'keep', '--labels', 'none.txt'],
      'none.txt: expected a file of labels, got no such file',
    ],
    [
      'two patterns of one name',
      ['--trainable', 'bias', '--pattern', 'trainable=norm'],
      '--trainable makes a pattern "trainable", which --pattern names too',
    ],
    ['labels of a head of examples', ['--labels', 'labels.txt'], 'expected head "keep", got "cosine"'],
  ])('refuses %s in one line', async (_, args, message) => {
    const refused = await whet('compile', 'small.onnx', '--out', 'bad', ...args);
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining(message) });
    expect(await readdir(cwd)).not.toContain('bad');
  });
});
