import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Build, basic, networkOf } from '../compile/block-networks.js';
import { writeGratings } from './drawn-classes.js';

/** Of an ONNX file `model.onnx` of a few channels. */
export const residual: Build = (n, x) => {
  const a = basic(n, n.apply('Relu', n.convolution(x, 'stem', 4)), 'a');
  return basic(n, basic(n, a, 'b', 6, 2), 'c', 8);
};
export const gratingSettings = {
  validation: { every: 4, tasks: 2, ways: 3, shots: 2, queries: 2 },
  schedule: 'constant',
};
export const model = ['--model', 'model.onnx'];
export const tasks = ['--ways', '2-4', '--shots', '1-3', '--queries', '2', '--inner-steps', '0-2', '--tasks', '2'];
export const cpu = ['--backend', 'ort-cpu', '--threads', '1'];

/** A folder with the model, three sets of gratings of 8 x 8, one of them larger and one without splits, and settings. */
export async function trainModelFolder(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'whet-train-model-'));
  await writeFile(join(root, 'model.onnx'), networkOf(residual, false, 3));
  await writeGratings(join(root, 'near'), { train: 6, val: 4, test: 3 }, { images: 8 });
  await writeGratings(join(root, 'far'), { train: 5, val: 4, test: 3 }, { images: 8, side: 12, first: 40 });
  await writeGratings(join(root, 'plain'), { '.': 4 }, { images: 8, first: 80 });
  await writeFile(join(root, 'settings.json'), JSON.stringify(gratingSettings));
  return root;
}

/** Waits for something to be so; throws where a command ends before. */
export async function untilSo(going: Promise<{ readonly err: string }>, isSo: () => Promise<boolean>): Promise<void> {
  let ended: { readonly err: string } | undefined;
  void going.then((outcome) => {
    ended = outcome;
  });
  while (!(await isSo())) {
    if (ended) throw new Error(`ended before: ${ended.err}`);
    await new Promise(setImmediate);
  }
}
