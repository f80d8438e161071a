import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { encodeOnnx, GraphBuilder, makeTensor } from '@whet/compiler';
import { readBundle } from '@whet/runtime/node';
import sharp from 'sharp';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { runWhet } from './whet-process.js';

// Folders and files as people have them, for every command that reads images.

const root = await mkdtemp(join(tmpdir(), 'whet-cli-images-'));
afterAll(() => rm(root, { recursive: true, force: true }));

let folder: string;
let count = 0;
beforeEach(async () => {
  folder = join(root, String(count++));
  await mkdir(folder);
});

/** Throws what a command that fails says. */
async function whet(...args: string[]) {
  const outcome = await runWhet(folder, args);
  if (outcome.code !== 0) throw new Error(outcome.err);
  return outcome;
}
const grey = (level: number, side = 28) =>
  sharp({ create: { width: side, height: side, channels: 3, background: { r: level, g: level, b: level } } });

/** Writes images, named by format, one as good as another. */
async function put(...paths: readonly string[]): Promise<void> {
  for (const [i, path] of paths.entries()) {
    const format = /\.(jpe?g|jfif)$/.test(path) ? 'jpeg' : (path.split('.').at(-1) as 'png');
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(
      join(folder, path),
      await grey((i * 40) % 256)
        .toFormat(format)
        .toBuffer(),
    );
  }
}

const adapt = (...more: string[]) =>
  whet('adapt', '--pattern', 'head', '--examples', 'examples', '--out', 'p', '--steps', '0', ...more);

describe('whet adapt', () => {
  it('reads images by any of their names and formats, and follows links', async () => {
    await put('examples/square/0.jfif', 'examples/square/1.gif', 'examples/square/2.tiff', 'examples/square/3.avif');
    await put('examples/circle/0.png', 'elsewhere/0.webp', 'elsewhere/1.JPG'.toLowerCase());
    await symlink(join(folder, 'elsewhere'), join(folder, 'examples/cross'));
    const { out, err } = await adapt();
    expect(out).toMatch(/^7 examples of 3 classes/);
    expect(err).toBe('');
  });

  it('leaves hidden names alone, and names what else it does not read', async () => {
    await put('examples/a/0.png', 'examples/b/0.png', 'examples/.ipynb_checkpoints/0.png', 'examples/above.png');
    await writeFile(join(folder, 'examples/b/notes.txt'), 'hello');
    const { out, err } = await adapt();
    expect(out).toMatch(/^2 examples of 2 classes/);
    expect(err).toContain('not read, as no images of a class: examples/above.png, examples/b/notes.txt\n');
  });

  it('drops no class and no image without a word', async () => {
    await put('examples/a/0.png', 'examples/b/0.png');
    await mkdir(join(folder, 'examples/c'));
    await expect(adapt()).rejects.toThrow('examples/c: expected images of the class c, got an empty folder');
    await writeFile(join(folder, 'examples/c/0.heic'), '\0\0\0\x18ftypheic\0\0\0\0mif1heic');
    await expect(adapt()).rejects.toThrow(
      'examples/c/0.heic: expected a PNG, JPEG, WebP, GIF, TIFF or AVIF image, got',
    );
  });

  it('reads a photo of 24 megapixels', async () => {
    await put('examples/sky/0.png', 'examples/field/0.png');
    const photo = sharp({ create: { width: 5712, height: 4284, channels: 3, background: '#3264c8' } });
    await writeFile(join(folder, 'examples/sky/1.jpg'), await photo.jpeg({ quality: 50 }).toBuffer());
    expect((await adapt()).out).toMatch(/^3 examples of 2 classes/);
  });

  it('takes names that look alike for one class, and none that no label can be', async () => {
    await put('examples/cafe\u0301/0.png', 'examples/caf\u00e9/1.png', 'examples/x/0.png');
    expect((await adapt()).out).toMatch(/^3 examples of 2 classes/);
    await put('examples/a\tb/0.png');
    await expect(adapt()).rejects.toThrow('without control characters, got "a\\tb"');
  });
});

it('whet predict takes folders', async () => {
  await put('examples/a/0.png', 'examples/b/0.png', 'new/1.png', 'new/more/2.jfif', 'single.webp');
  await adapt();
  const predict = (...args: string[]) => whet('predict', '--profile', 'p', '--json', ...args);
  const { out } = await predict('new', 'single.webp');
  const images = (JSON.parse(out) as { image: string }[]).map(({ image }) => image);
  expect(images).toEqual(['new/1.png', 'new/more/2.jfif', 'single.webp']);
  await mkdir(join(folder, 'nothing'));
  await expect(predict('nothing')).rejects.toThrow('nothing: expected images in the folder, got none');
  await expect(predict('gone.png')).rejects.toThrow('gone.png: expected an image or a folder of images, got ENOENT');
});

it('whet evaluate reads the same folders, and says what it did not read', async () => {
  const classes = ['a', 'b', 'c'].flatMap((name) => ['0.jfif', '1.gif', '2.png'].map((file) => `data/${name}/${file}`));
  await put(...classes, 'data/.hidden/0.png');
  await writeFile(join(folder, 'data/readme.txt'), 'hello');
  const shape = ['--ways', '3', '--shots', '1', '--queries', '1', '--tasks', '1', '--steps', '0'];
  const { out, err } = await whet('evaluate', '--data', 'data', ...shape);
  expect(out).toContain('3-way 1-shot');
  expect(err).toContain('not read, as no images of a class: readme.txt\n');
});

describe('whet compile', () => {
  /** Tells red from green by the mean of each channel: of images of any size. */
  async function model(channels: number): Promise<string> {
    const g = new GraphBuilder();
    const x = g.input('x', ['N', channels, 'H', 'W']);
    const flat = g.apply('Flatten', [g.apply('GlobalAveragePool', [x], {}, 'pooled')], { axis: 1 }, 'flat');
    const weight = g.constant(
      makeTensor(
        [channels, 2],
        Float32Array.from({ length: channels * 2 }, (_, i) => (i === 0 || i === 3 ? 9 : 0)),
      ),
      'w',
    );
    const y = g.apply('MatMul', [flat, weight], {}, 'fc');
    await writeFile(join(folder, 'm.onnx'), encodeOnnx({ name: 'm', inputs: [x], outputs: new Map([['y', y]]) }));
    return 'm.onnx';
  }
  const compile = async (channels: number, ...args: string[]) => {
    await whet('compile', await model(channels), '--out', 'b', '--size', '8x8', ...args);
    const { contents } = await readBundle(join(folder, 'b'));
    return JSON.parse(new TextDecoder().decode(contents.get('manifest.json'))) as {
      preprocessing: object;
      labels?: string[];
    };
  };

  it('writes down how the model’s images were made', async () => {
    const torchvision = ['--fit', 'cover', '--resize', '9', '--kernel', 'linear'];
    const caffe = ['--bgr', '--pixels', '255', '--mean', '103.939,116.779,123.68'];
    expect((await compile(3, ...torchvision, ...caffe)).preprocessing).toEqual({
      ...{ width: 8, height: 8, channels: 3, fit: 'cover', resize: 9, kernel: 'linear', bgr: true },
      ...{ background: 255, invert: false, std: [1 / 255, 1 / 255, 1 / 255] },
      mean: [103.939 / 255, 116.779 / 255, 123.68 / 255],
    });
    expect((await compile(1, '--grey', 'rec601')).preprocessing).toMatchObject({ grey: 'rec601', fit: 'contain' });
    await expect(compile(3, '--mean', '123.675,116.28,103.53')).rejects.toThrow('say --pixels 255');
  });

  it('shows the middle of a wide image where it is asked to cover', async () => {
    const { data, info } = await sharp({ create: { width: 48, height: 16, channels: 3, background: '#f00' } })
      .raw()
      .toBuffer({ resolveWithObject: true });
    for (let i = 0; i < 48 * 16; i++) if (i % 48 >= 16 && i % 48 < 32) data.set([0, 255, 0], i * 3);
    await writeFile(join(folder, 'wide.png'), await sharp(data, { raw: info }).png().toBuffer());
    const seen = async (...args: string[]) => {
      await compile(3, '--head', 'keep', ...args);
      const { out } = await whet('predict', '--bundle', 'b', '--no-profile', '--json', 'wide.png');
      return (JSON.parse(out) as { label: string }[])[0]?.label;
    };
    expect(await seen()).toBe('0');
    expect(await seen('--fit', 'cover')).toBe('1');
    await expect(seen('--fit', 'crop')).rejects.toThrow('Allowed choices are contain, cover, fill');
  });

  it('reads and numbers labels', async () => {
    await writeFile(join(folder, 'labels.txt'), Buffer.from('\ufeffcrane\r\ncrane\r\n', 'utf16le'));
    const keep = ['--head', 'keep', '--labels', 'labels.txt'];
    await expect(compile(3, ...keep)).rejects.toThrow(
      'expected different names, got "crane" for 0 and 1; --number-duplicates tells them apart',
    );
    expect((await compile(3, ...keep, '--number-duplicates')).labels).toEqual(['crane', 'crane (2)']);
    await writeFile(join(folder, 'labels.txt'), '{"0": ["n02121808", "cat"], "1": ["n02084071", "dog"]}');
    expect((await compile(3, ...keep)).labels).toEqual(['cat', 'dog']);
  });
});
