import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Preprocessing } from '@whet/runtime/images';
import * as z from 'zod/mini';
import { DataError, type Dataset, type ImageClass, SPLITS, type SplitName } from './dataset.js';
import type { FileClass, ImageFiles } from './image-files.js';
import { nearestNames } from './nearest-names.js';
import { type PixelNormalization, pixelNormalization } from './pixel-normalization.js';

export interface CifarOptions extends PixelNormalization {
  /** All of how pixels become tensors, in place of mean and standard deviation; 32 x 32 in 3 channels. */
  readonly preprocessing?: Preprocessing;
}

/** The two binary layouts. The label that counts is the last one before the pixels. */
interface Layout {
  readonly name: 'cifar-10' | 'cifar-100';
  readonly files: readonly string[];
  /** Upper limits of the label bytes. */
  readonly labels: readonly { readonly kind: string; readonly count: number }[];
  readonly namesFile: string;
}

const SIDE = 32;
const PLANE = SIDE * SIDE;

const namesSchema = z.array(z.union([z.string(), z.int()])).check(z.minLength(1));
const splitSchema = z.strictObject({ train: namesSchema, validation: namesSchema, test: namesSchema });

/** CIFAR's images as they are, 0..1 before normalization. */
export function cifarPreprocessing(normalization: PixelNormalization = {}): Preprocessing {
  return {
    width: SIDE,
    height: SIDE,
    channels: 3,
    fit: 'contain',
    background: 255,
    kernel: 'lanczos3',
    invert: false,
    ...pixelNormalization('CIFAR', 3, normalization),
  };
}

/**
 * CIFAR-10 or CIFAR-100 (Krizhevsky 2009) in its binary layout, its classes divided by `splitFile`: JSON with arrays
 * `train`, `validation` and `test` of class names or labels. Not every class need stand there. A class holds the
 * training images and then the test images of its label. `directory` holds `data_batch_1.bin`, ... and `test_batch.bin`
 * (a label byte an image), or `train.bin` and `test.bin` (a coarse and a fine one), each followed by 3072 bytes: the
 * planes R, G and B of 32 x 32; and, for names, `batches.meta.txt` or `fine_label_names.txt`.
 *
 * @throws {DataError} naming the file: missing, of a size that is no multiple of a record, a label out of range, a
 * class in two splits, unknown or without images; or a preprocessing or normalization for other images.
 */
export async function loadCifar(directory: string, splitFile: string, options: CifarOptions = {}): Promise<Dataset> {
  const preprocessing = options.preprocessing ?? cifarPreprocessing(options);
  const { width, height, channels } = preprocessing;
  if (width !== SIDE || height !== SIDE || channels !== 3) {
    throw new DataError(
      `CIFAR: expected to be asked for images of 32 x 32 x 3, got ${width} x ${height} x ${channels}`,
    );
  }
  const { name, split, classOf, unsplit } = await readCifar(directory, splitFile);
  const splits = {
    train: split.train.map(classOf),
    validation: split.validation.map(classOf),
    test: split.test.map(classOf),
  };
  return { name, preprocessing, splits, ...unsplit };
}

/**
 * The images of one split as files, of the same folder: PNG files that hold the pixels as they are.
 *
 * @throws {DataError} as {@link loadCifar}.
 */
export async function openCifar(directory: string, splitFile: string, split: SplitName): Promise<ImageFiles> {
  const read = await readCifar(directory, splitFile);
  const raw = { width: SIDE, height: SIDE, channels: 3 } as const;
  const classes = read.split[split].map((label): FileClass => {
    const { name, count, pixels } = read.classOf(label);
    return {
      name,
      count,
      read: async (i) => {
        const { default: sharp } = await import('sharp');
        const own = pixels.subarray(i * PLANE * 3, (i + 1) * PLANE * 3);
        const bytes = await sharp(own, { raw }).png({ compressionLevel: 0 }).toBuffer();
        return { bytes, place: `${read.name}: image ${i + 1} of ${name}` };
      },
    };
  });
  return { name: read.name, split, classes, ...read.unsplit };
}

async function readCifar(directory: string, splitFile: string) {
  const layout = await findLayout(directory);
  const names = await readNames(directory, layout);
  const split = await readSplit(splitFile, names);
  const images = new Map<number, Uint8Array[]>();
  for (const file of layout.files) await readRecords(join(directory, file), layout, images);
  const classOf = (label: number): ImageClass => {
    const own = images.get(label) ?? [];
    const name = names[label] as string;
    if (own.length === 0) throw new DataError(`${splitFile}: class ${name} has no image in ${layout.files.join(', ')}`);
    const pixels = new Uint8Array(own.length * PLANE * 3);
    for (const [i, planes] of own.entries()) {
      for (let p = 0; p < PLANE; p++) {
        for (let c = 0; c < 3; c++) pixels[(i * PLANE + p) * 3 + c] = planes[c * PLANE + p] as number;
      }
    }
    return { name, count: own.length, pixels };
  };
  const known = new Set(Object.values(split).flat());
  const left = [...images.keys()].filter((label) => !known.has(label)).sort((a, b) => a - b);
  const unsplit = left.length > 0 ? { unsplit: left.map((label) => names[label] as string) } : {};
  return { name: layout.name, split, classOf, unsplit };
}

async function findLayout(directory: string): Promise<Layout> {
  let names: Set<string>;
  try {
    names = new Set(await readdir(directory));
  } catch (cause) {
    throw new DataError(`${directory}: expected a folder of CIFAR's binary files, got ${String(cause)}`, { cause });
  }
  const batches = [...names].filter((name) => /^data_batch_\d+\.bin$/.test(name));
  const ten = [...batches.map((_, i) => `data_batch_${i + 1}.bin`), 'test_batch.bin'];
  if (batches.length > 0 && ten.every((name) => names.has(name))) {
    return { name: 'cifar-10', files: ten, labels: [{ kind: 'label', count: 10 }], namesFile: 'batches.meta.txt' };
  }
  const hundred = ['train.bin', 'test.bin'];
  if (hundred.every((name) => names.has(name))) {
    const labels = [
      { kind: 'coarse label', count: 20 },
      { kind: 'fine label', count: 100 },
    ];
    return { name: 'cifar-100', files: hundred, labels, namesFile: 'fine_label_names.txt' };
  }
  const got = [...names].filter((name) => name.endsWith('.bin')).sort();
  throw new DataError(
    `${directory}: expected data_batch_1.bin, data_batch_2.bin, ... and test_batch.bin (CIFAR-10) or train.bin and test.bin (CIFAR-100), ` +
      `got ${got.join(', ') || 'none of them'}`,
  );
}

/** A name for each label; the label itself where the file of names is not there. */
async function readNames(directory: string, { labels, namesFile }: Layout): Promise<string[]> {
  const count = labels.at(-1)?.count ?? 0;
  const path = join(directory, namesFile);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return Array.from({ length: count }, (_, i) => String(i));
    throw new DataError(`${path}: cannot be read: ${String(cause)}`, { cause });
  }
  const names = text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  if (names.length !== count || new Set(names).size !== count) {
    throw new DataError(`${path}: expected ${count} different class names, got ${new Set(names).size}`);
  }
  return names;
}

async function readSplit(path: string, names: readonly string[]): Promise<Record<SplitName, number[]>> {
  const expected = 'expected JSON with arrays train, validation and test of class names or labels';
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    const got = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : (cause as Error).message;
    throw new DataError(`${path}: ${expected}, got ${got}`, { cause });
  }
  const parsed = splitSchema.safeParse(json);
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path ?? [];
    const value = where.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)?.[key], json);
    const got = [...where, (JSON.stringify(value) ?? 'none').slice(0, 60)].join(': ');
    throw new DataError(`${path}: ${expected}, got ${got}`, { cause: parsed.error });
  }
  const split = parsed.data;
  const standsIn = new Map<number, SplitName>();
  const labelOf = (wanted: string | number, part: SplitName): number => {
    const label = typeof wanted === 'number' ? wanted : names.indexOf(wanted);
    if (names[label] === undefined) {
      if (typeof wanted === 'number') {
        throw new DataError(`${path}: ${part}: expected labels 0 to ${names.length - 1}, got ${wanted}`);
      }
      const nearest = nearestNames(wanted, names).join(', ') || 'none';
      throw new DataError(`${path}: ${part}: no class is named "${wanted}"; nearest: ${nearest}`);
    }
    const other = standsIn.get(label);
    if (other) {
      const where = other === part ? `twice in ${part}` : `in ${other} and in ${part}`;
      throw new DataError(`${path}: expected every class once, got ${names[label]} ${where}`);
    }
    standsIn.set(label, part);
    return label;
  };
  const [train, validation, test] = SPLITS.map((part) => split[part].map((wanted) => labelOf(wanted, part)));
  return { train: train as number[], validation: validation as number[], test: test as number[] };
}

async function readRecords(path: string, { labels }: Layout, images: Map<number, Uint8Array[]>): Promise<void> {
  const record = labels.length + PLANE * 3;
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new DataError(`${path}: cannot be read: ${String(cause)}`, { cause });
  }
  if (bytes.length === 0 || bytes.length % record !== 0) {
    throw new DataError(`${path}: expected a multiple of ${record} bytes, one record an image, got ${bytes.length}`);
  }
  for (let at = 0; at < bytes.length; at += record) {
    for (const [i, { kind, count }] of labels.entries()) {
      const label = bytes[at + i] as number;
      if (label < count) continue;
      throw new DataError(`${path}: image ${at / record + 1}: expected a ${kind} of 0 to ${count - 1}, got ${label}`);
    }
    const label = bytes[at + labels.length - 1] as number;
    const own = images.get(label) ?? [];
    own.push(bytes.subarray(at + labels.length, at + record));
    images.set(label, own);
  }
}
