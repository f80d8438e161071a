import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A picture of what `label` is called. */
export interface DemoImage {
  readonly label: string;
  /** Its path. */
  readonly file: string;
  readonly bytes: Uint8Array;
}

const folder = (name: string): string => fileURLToPath(new URL(`../../../models/demo/${name}/`, import.meta.url));

/** Drawn characters, PNG, 28 x 28, black on white: a folder of them for each label. */
export const charactersDirectory: string = folder('characters');
/** Drawings of things in colour, WebP, 128 x 128. */
export const thingsDirectory: string = folder('things');

/**
 * The demo images by label, labels and files in the order of their names' code units. Throws where `folder` cannot be read, has no labels,
 * or has a label without images.
 */
export async function loadDemoImages(folder: string): Promise<ReadonlyMap<string, readonly DemoImage[]>> {
  const labels = await listLabels(folder);
  const images = new Map<string, readonly DemoImage[]>();
  for (const label of labels) images.set(label, await loadLabel(folder, label));
  return images;
}

async function listLabels(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new Error(`Demo images "${folder}": expected a folder of labels, as models/demo has`, { cause });
  });
  const labels = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  if (labels.length === 0) throw new Error(`Demo images "${folder}": expected a folder per label, got none`);
  return labels.sort();
}

async function loadLabel(folder: string, label: string): Promise<readonly DemoImage[]> {
  const names = (await readdir(join(folder, label))).filter((name) => ['.png', '.webp'].includes(extname(name)));
  if (names.length === 0) throw new Error(`Demo images "${join(folder, label)}": expected images, got none`);
  return await Promise.all(
    names.sort().map(async (name) => {
      const file = join(folder, label, name);
      return { label, file, bytes: new Uint8Array(await readFile(file)) };
    }),
  );
}
