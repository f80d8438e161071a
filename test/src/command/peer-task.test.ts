import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensors } from '@whet/runtime/format';
import { loadBundle } from '@whet/runtime/node';
import { writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { lossesOf, noiseExamples, writePeerTask } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { afterAll, expect, it } from 'vitest';
import { takeWrittenSteps } from './written-steps.js';

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
    await writePeerTask(folder, { bundle, place, pattern, ways: 3, shots: 2, steps: 4 });

    const task = JSON.parse(await readFile(join(folder, 'task.json'), 'utf8'));
    const { rate } = bundle.manifest.patterns[pattern] as { rate: number };
    const own = { network: 'tiny', pattern, ways: 3, shots: 2, steps: 4, rate };
    expect(task).toMatchObject({ schema: 'whet-peer-task/1', ...own });
    expect(task.trainable).toEqual(expect.arrayContaining(['head.weight', 'head.bias']));
    expect(task.trainable).toHaveLength(2 + (bundle.manifest.patterns[pattern]?.moving.length ?? 0));
    const { tensors } = readSafetensors(await readFile(join(folder, 'examples.safetensors')));
    const { shape, data: pixels } = tensors.get('images') as { shape: readonly number[]; data: Float32Array };
    expect(shape).toEqual([6, 1, 12, 12]);
    expect([...(tensors.get('labels')?.data ?? [])].map(Number)).toEqual([0, 1, 2, 0, 1, 2]);
    const examples = noiseExamples(bundle, 3, 2);

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
    const others = await takeWrittenSteps(folder, features.data as Float32Array, features.dims);
    expect(others.moved).toBe(task.trainable.length);
    const losses = lossesOf(await bundle.adapt(examples, { pattern, steps: 4, always: true }));
    expect(losses).toHaveLength(5);
    expect(losses.at(-1)).toBeLessThan((losses[0] as number) - 0.0001);
    for (const [step, loss] of losses.entries()) expect(others.losses[step], `${step}`).toBeCloseTo(loss, 5);
    await bundle.release();
  },
);

it('refuses steps that are no plain gradient steps, and says what they are', async () => {
  const place = await writeTinyBundle();
  const folder = await mkdtemp(join(tmpdir(), 'whet-peers-'));
  folders.push(place, folder);
  const bundle = await loadBundle(place);
  const task = { bundle, place, ways: 3, shots: 1, steps: 4 };
  await expect(writePeerTask(folder, { ...task, pattern: 'sparse' })).rejects.toThrow(
    /^tiny sparse, 3-way 1-shot, 4 steps: expected plain gradient steps of whole weights, got \d+ of the \d+ entries of "/,
  );
  await expect(writePeerTask(folder, { ...task, pattern: 'tail' })).rejects.toThrow(
    'pattern "tail": expected one of tiny’s',
  );
  await expect(writePeerTask(folder, { ...task, pattern: 'head', steps: 0 })).rejects.toThrow(
    'tiny head, 3-way 1-shot, 0 steps: expected 1 step or more',
  );
  const own = bundle.manifest.patterns['head'];
  const others = [
    [{ optimizer: 'adam' }, 'the optimizer adam'],
    [{ objective: 'prototypes' }, 'the objective prototypes'],
    [{ schedule: 'cosine' }, 'the schedule cosine'],
    [{ smoothing: 0.1 }, 'labels smoothed by 0.1'],
    [{ decay: 0.5 }, 'a decay of 0.5'],
    [{ views: 6 }, '6 views of each example'],
    [{ normalizations: [{}] }, 'moments of the examples'],
    [{ graphs: { ...own?.graphs, solve: 'solve.onnx' } }, 'a head in closed form'],
  ] as const;
  for (const [more, told] of others) {
    const manifest = { ...bundle.manifest, patterns: { head: { ...own, ...more } } };
    const other = { ...task, bundle: { manifest } as unknown as typeof bundle, pattern: 'head' };
    await expect(writePeerTask(folder, other)).rejects.toThrow(told);
  }
  await bundle.release();
});

it.each([
  ['tries again', { losses: [3, 2, 2], loss: 1, halved: 1 }],
  ['gives up in the end', { losses: [3, 2, 1], loss: 1, halved: 0 }],
])('leaves out a task of which Whet takes a step back and %s', async (_, adapted) => {
  const place = await writeTinyBundle();
  folders.push(place);
  const { manifest, imageLength } = await loadBundle(place, { preload: false });
  const bundle = { manifest, imageLength, adapt: async () => adapted } as never;
  const task = { bundle, place, pattern: 'head', ways: 3, shots: 2, steps: 3 };
  await expect(writePeerTask(place, task)).rejects.toThrow(
    'tiny head, 3-way 2-shot, 3 steps: a step was taken back, as it raised the loss',
  );
});
