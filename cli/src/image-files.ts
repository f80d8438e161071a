import { stat } from 'node:fs/promises';
import type { Example, Preprocessing } from '@whet/runtime';
import { decodeImage, listClasses, listImages } from '@whet/runtime/images';
import { readNamedFile } from './named-file.js';
import { noteUnread } from './unread.js';

export async function readImage(path: string, preprocessing: Preprocessing): Promise<Float32Array> {
  return decodeImage(await readNamedFile(path, 'an image'), preprocessing, { field: path, isOwn: true });
}

/** The files among the paths, and the images in the folders among them. */
export async function imagesAt(paths: readonly string[]): Promise<string[]> {
  const all: string[] = [];
  for (const path of paths) {
    const found = await stat(path).catch((cause: Error) => {
      throw new Error(`${path}: expected an image or a folder of images, got ${cause.message}`, { cause });
    });
    if (!found.isDirectory()) {
      all.push(path);
      continue;
    }
    const { files, unread } = await listImages(path);
    if (files.length === 0) throw new Error(`${path}: expected images in the folder, got none`);
    noteUnread(unread);
    all.push(...files);
  }
  return all;
}

/** Labelled examples from a folder with one folder of images per class, `perClass` of each or all. */
export async function readExamples(
  folder: string,
  preprocessing: Preprocessing,
  perClass?: number,
): Promise<Example[]> {
  const { classes, unread } = await listClasses(folder);
  noteUnread(unread);
  const examples: Example[] = [];
  for (const { name: label, files } of classes) {
    for (const path of files.slice(0, perClass)) {
      examples.push({ label, image: await readImage(path, preprocessing) });
    }
  }
  if (examples.length === 0) throw new Error(`${folder}: expected images as <label>/<image>, got none`);
  return examples;
}
