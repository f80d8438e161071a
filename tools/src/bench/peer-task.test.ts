import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadBundle } from '@whet/runtime/node';
import { noiseExamples } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { afterAll, expect, it } from 'vitest';
import { writeTinyBundle } from '../bundles/tiny-bundle.js';
import { writePeerTask } from './peer-task.js';

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

it.each(['head', 'full'])(
  'gives other engines the network that a pattern adapts, from where it starts: %s',
  async (pattern) => {
    const place = await writeTinyBundle();
    const folder = await mkdtemp(join(tmpdir(), 'whet-peers-'));
    folders.push(place, folder);
    const bundle = await loadBundle(place);
    const examples = noiseExamples(bundle, 3, 2);
    await writePeerTask(folder, { bundle, place, pattern, examples, steps: 4, rate: 0.5 });

    const task = JSON.parse(await readFile(join(folder, 'task.json'), 'utf8'));
    expect(task).toMatchObject({ images: [6, 1, 12, 12], steps: 4, rate: 0.5 });
    expect(task.trainable).toEqual(expect.arrayContaining(['head.weight', 'head.bias']));
    expect(task.trainable).toHaveLength(2 + (bundle.manifest.patterns[pattern]?.moving.length ?? 0));
    const bytes = await readFile(join(folder, 'examples.bin'));
    const pixels = new Float32Array(Uint8Array.from(bytes.subarray(0, 4 * 6 * 144)).buffer);
    const labels = new BigInt64Array(Uint8Array.from(bytes.subarray(4 * 6 * 144)).buffer);
    expect([...labels].map(Number)).toEqual([0, 1, 2, 0, 1, 2]);

    const run = async (name: string, feeds: Record<string, ort.Tensor>) => {
      const session = await ort.InferenceSession.create(join(folder, name));
      const outputs = await session.run(feeds);
      await session.release();
      return outputs;
    };
    const images = new ort.Tensor('float32', pixels, [6, 1, 12, 12]);
    const features = pattern === 'full' ? images : ((await run('encode.onnx', { images }))['features'] as ort.Tensor);
    const logits = (await run('rest.onnx', { features }))['logits'] as ort.Tensor;
    const { profile } = await bundle.adapt(examples, { pattern, steps: 0 });
    const answers = await bundle.predict(
      profile,
      examples.map(({ image }) => image),
    );
    for (const [i, { probabilities }] of answers.entries()) {
      const row = [...(logits.data as Float32Array)].slice(3 * i, 3 * i + 3).map(Math.exp);
      const sum = row.reduce((a, b) => a + b, 0);
      for (const [j, each] of Object.values(probabilities).entries())
        expect((row[j] as number) / sum).toBeCloseTo(each, 5);
    }
    await bundle.release();
  },
);
