import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { Example, Preprocessing } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';

const EXTENSIONS = new Set(['.png', '.jpg', '.jpeg', '.webp']);

/** Image files of a folder, sorted by name. */
async function imageFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => EXTENSIONS.has(extname(name).toLowerCase()))
    .sort()
    .map((name) => join(folder, name));
}

export async function readImage(path: string, preprocessing: Preprocessing): Promise<Float32Array> {
  return decodeImage(await readFile(path), preprocessing, { field: path });
}

/** Image files by class, from a folder with one folder of images per class: `<folder>/<label>/<image>`. */
export async function labelledFiles(folder: string): Promise<{ label: string; paths: string[] }[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const labels = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(labels.sort().map(async (label) => ({ label, paths: await imageFiles(join(folder, label)) })));
}

/** Labelled examples from a folder with one folder of images per class, `perClass` of each or all. */
export async function readExamples(
  folder: string,
  preprocessing: Preprocessing,
  perClass?: number,
): Promise<Example[]> {
  const examples: Example[] = [];
  for (const { label, paths } of await labelledFiles(folder)) {
    for (const path of paths.slice(0, perClass)) {
      examples.push({ label, image: await readImage(path, preprocessing) });
    }
  }
  if (examples.length === 0) {
    throw new Error(`${folder}: expected images as <label>/<image>.png, .jpg or .webp, found none`);
  }
  return examples;
}
