import { readdir, readFile } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A drawing of the character `label` in the handwriting `font`: a PNG file, 28 x 28, black on white. */
export interface DemoImage {
  readonly label: string;
  readonly font: string;
  readonly bytes: Uint8Array;
}

/** Folder of the demo images, a folder of them for each label. */
export const demoImagesDirectory: string = fileURLToPath(new URL('../../../models/demo/images/', import.meta.url));

/**
 * Returns the demo images by label, labels and fonts in the order of their names' code units.
 * Throws where `folder` cannot be read, has no labels, or has a label without images.
 */
export async function loadDemoImages(folder = demoImagesDirectory): Promise<ReadonlyMap<string, readonly DemoImage[]>> {
  const labels = await listLabels(folder);
  const images = new Map<string, readonly DemoImage[]>();
  for (const label of labels) images.set(label, await loadLabel(folder, label));
  return images;
}

async function listLabels(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new Error(`Demo images "${folder}": expected a folder of labels; "npm run demo:images" writes it`, { cause });
  });
  const labels = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  if (labels.length === 0) throw new Error(`Demo images "${folder}": expected a folder per label, got none`);
  return labels.sort();
}

async function loadLabel(folder: string, label: string): Promise<readonly DemoImage[]> {
  const files = (await readdir(join(folder, label))).filter((file) => file.endsWith('.png')).sort();
  if (files.length === 0) throw new Error(`Demo images "${join(folder, label)}": expected .png files, got none`);
  return await Promise.all(
    files.map(async (file) => {
      const bytes = new Uint8Array(await readFile(join(folder, label, file)));
      return { label, font: parse(file).name, bytes };
    }),
  );
}
