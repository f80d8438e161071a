import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tensor } from '@whet/compiler';
import { loadBundle } from '@whet/runtime/node';
import { exportModelRun, generatorFor, modelGraphs, newModelRun, openPrefix, ortBackend } from '@whet/trainer';
import { afterAll, describe, expect, it } from 'vitest';
import { walkTask } from '../../../trainer/src/meta/in-turns.js';
import { learnedSpecs } from '../../../trainer/src/meta/learned.js';
import { type Build, basic, networkOf } from '../compile/block-networks.js';

// What a bundle of a run does is what the run's inner loop does.

const root = await mkdtemp(join(tmpdir(), 'whet-learned-'));
afterAll(() => rm(root, { recursive: true, force: true }));

const residual: Build = (n, x) => {
  const a = basic(n, n.apply('Relu', n.convolution(x, 'stem', 4)), 'a');
  return basic(n, basic(n, a, 'b', 6, 2), 'c', 8);
};
const [WAYS, SHOTS, STEPS] = [3, 3, 4];

describe.each(['channel', 'weight', 'tensor'])('a bundle of masks per %s', (maskGranularity) => {
  it('takes the steps that the run took, from the starts that it learned', { timeout: 60_000 }, async () => {
    const bytes = networkOf(residual, false, 3);
    const file = { bytes, fileName: 'model.onnx' };
    const learnWeights = ['blocks:1'];
    const settings = {
      data: [{ name: 'd' }],
      trainable: ['blocks:2'],
      maskGranularity,
      learnWeights,
      innerSteps: STEPS,
    };
    const run = await newModelRun(file, { ...settings, innerRate: 2e-3, seed: 4 }, {});
    const random = generatorFor(9, 'learned', 0);
    for (const { name, kind } of learnedSpecs(run.candidates)) {
      const { value } = run.state.learned.get(name) as { value: Float32Array };
      for (let i = 0; i < value.length; i++) {
        if (kind === 'rate') value[i] = (value[i] as number) + 0.5 * random.normal();
        if (kind === 'start') value[i] = (value[i] as number) + 0.05 * random.normal();
        if (kind === 'mask' && random.uniform() < 0.4) value[i] = -0.1;
        if (kind === 'scale') value[i] = 0.7;
      }
    }
    const directory = join(root, maskGranularity);
    await exportModelRun({ run, file, directory, name: 'b', patterns: { head: ['none'], some: ['last:1'] } });
    const bundle = await loadBundle(directory, { threads: 1 });

    const images = Array.from({ length: WAYS * SHOTS }, (_, n) =>
      Float32Array.from({ length: 3 * 8 * 8 }, (_, i) => random.normal() + Math.sin((Math.floor(n / SHOTS) + 1) * i)),
    );
    const labels = Int32Array.from(images, (_, i) => Math.floor(i / SHOTS));
    const examples = images.map((image, i) => ({ image, label: `class ${labels[i]}` }));
    const adapted = await bundle.adapt(examples, { pattern: 'learned' });
    expect(adapted.losses.length).toBe(STEPS);

    const { prefix: encode, gradient, features } = await modelGraphs(run.model, run.candidates);
    const prefix = await openPrefix(encode, [3, 8, 8], features);
    const rows = { features: await prefix.encode(images), labels };
    const graph = await ortBackend({ threads: 1 }).compile(gradient);
    const losses: number[] = [];
    const recording = {
      ...graph,
      run: async (feeds: ReadonlyMap<string, Tensor>) => {
        const outputs = await graph.run(feeds);
        losses.push(outputs.get('loss')?.data[0] as number);
        return outputs;
      },
    };
    const { smoothing } = run.config;
    const loop = {
      graph: recording,
      answers: graph,
      candidates: run.candidates,
      learned: run.state.learned,
      smoothing,
    };
    const isPrototype = new Float32Array(images.length).fill(1);
    await walkTask(loop, { ways: WAYS, support: rows, isPrototype, query: rows }, STEPS, 'answers');
    losses.forEach((loss, i) => {
      expect(Math.abs(loss - (adapted.losses[i] as number))).toBeLessThan(1e-4 * Math.max(1, loss));
    });
    expect(losses[STEPS - 1]).toBeLessThan(losses[0] as number);

    // Learned starts and the head's scale are those of all patterns, whether they move them or not.
    const starts: number[][] = [];
    for (const pattern of ['head', 'some', 'learned']) {
      const { profile } = await bundle.adapt(examples, { pattern, steps: 0 });
      starts.push((await bundle.predict(profile, images)).flatMap(({ probabilities }) => Object.values(probabilities)));
    }
    for (const found of starts.slice(1)) {
      found.forEach((each, i) => {
        expect(Math.abs(each - (starts[0]?.[i] as number))).toBeLessThan(1e-4);
      });
    }
    await Promise.all([graph.release(), prefix.release(), bundle.release()]);
  });
});
