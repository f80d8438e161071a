import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AdaptAnswer, PredictAnswer } from '@whet/runtime/client';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { createMemoryStore, type RunningServer, startServer } from '@whet/server';
import { compileModel } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gemm, LENGTH, noise, smallClassifier } from '../compile/small-classifier.js';
import { checkAnswersOf } from './check-answers.js';
import { fileOf, formOf, post } from './server-fixture.js';

const labels = ['cat', 'dog', 'cow'];
const bundles = new Map<string, Bundle>();
let server: RunningServer;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-server-kept-'));
  const model = smallClassifier(gemm);
  for (const head of ['keep', 'cosine'] as const) {
    const directory = join(folder, head);
    const named = head === 'keep' ? { labels } : {};
    const patterns = { head: ['none'], all: ['all'] };
    await compileModel({ model, fileName: 'm.onnx', directory, name: head, head, patterns, ...named });
    bundles.set(head, await loadBundle(directory, { threads: 1 }));
  }
  server = await startServer({ bundles, store: createMemoryStore(), version: '1.2.3' });
  await checkAnswersOf(server.url);
});
afterAll(async () => {
  await server?.close();
  for (const bundle of bundles.values()) await bundle.release();
  await rm(folder, { recursive: true, force: true });
});

const tensor = () => [...noise(LENGTH)];

interface Adapted {
  readonly profile: string;
  readonly classes: string[];
  readonly added?: string[];
}

describe('a pattern that is chosen by examples held back, over HTTP', () => {
  const examples = ['a', 'b'].flatMap((label) => Array.from({ length: 4 }, () => ({ label, tensor: tensor() })));

  it('says what was tried, and how many came out right', async () => {
    const body = { examples, model: 'cosine', pattern: 'auto', budgetMs: 60_000 };
    const answer = await post(`${server.url}/adapt`, body);
    expect(answer.status).toBe(201);
    const { profile, pattern, heldBack, auto } = (await answer.json()) as AdaptAnswer;
    expect(['head', 'all']).toContain(pattern);
    expect(heldBack?.asked).toBe(8);
    expect(auto?.trials[0]).toMatchObject({ pattern: 'head', steps: 0, solved: false });
    expect(auto?.trials[1]).toMatchObject({ pattern: 'head', steps: 0, solved: true });
    expect(auto?.reason).toBeTruthy();
    const predicted = await post(`${server.url}/predict`, { profile, tensor: tensor() });
    const { familiarity, predictions } = (await predicted.json()) as PredictAnswer;
    expect([familiarity, predictions[0]?.familiarity]).toEqual([expect.any(Number), familiarity]);
  });

  it('takes its options from a form, and refuses a budget that is none', async () => {
    const images = await Promise.all([fileOf('top'), fileOf('left')]);
    const form = (budgetMs: string) =>
      formOf([
        ...images.map((image, i) => [`class ${i}`, image] as const),
        ['model', 'cosine'],
        ['pattern', 'auto'],
        ['budgetMs', budgetMs],
      ]);
    const answer = await post(`${server.url}/adapt`, form('0'));
    expect(((await answer.json()) as AdaptAnswer).auto?.reason).toBe('the budget of 0 ms is spent');
    const refused = await post(`${server.url}/adapt`, form('-1'));
    expect([refused.status, ((await refused.json()) as { field: string }).field]).toEqual([422, 'budgetMs']);
  });

  it('cannot go on from a profile', async () => {
    const { profile } = (await (
      await post(`${server.url}/adapt`, { examples, model: 'cosine' })
    ).json()) as AdaptAnswer;
    const answer = await post(`${server.url}/adapt`, { examples, profile, continue: true, pattern: 'auto' });
    expect([answer.status, ((await answer.json()) as { field: string }).field]).toEqual([422, 'pattern']);
  });
});

describe('a kept head over HTTP', () => {
  it('is listed with its labels', async () => {
    const { models } = (await (await fetch(`${server.url}/models`)).json()) as { models: Record<string, unknown>[] };
    expect(models[0]).toMatchObject({ name: 'keep', head: 'kept', labels, limits: { maxClasses: 103 } });
    expect(models[1]).not.toHaveProperty('labels');
  });

  it('predicts without a profile what its bundle does, in JSON and in a form', async () => {
    const image = tensor();
    const bundle = bundles.get('keep') as Bundle;
    const [expected] = await bundle.predict(bundle.initialProfile(), [Float32Array.from(image)]);
    for (const body of [{ tensor: image }, { tensor: image, model: 'keep' }]) {
      const answer = await post(`${server.url}/predict`, body);
      expect(answer.status).toBe(200);
      const { label, probabilities } = (await answer.json()) as { label: string; probabilities: object };
      expect({ label, probabilities }).toEqual({ ...expected, probabilities: { ...expected?.probabilities } });
    }
    const form = formOf([
      ['model', 'keep'],
      ['image', await fileOf('top')],
    ]);
    const { label } = (await (await post(`${server.url}/predict`, form)).json()) as { label: string };
    expect(labels).toContain(label);
  });

  it.each([
    ['one of its classes', ['dog', 'dog'], labels, []],
    ['a new class alone', ['owl'], [...labels, 'owl'], ['owl']],
    ['both', ['owl', 'cow', 'bee'], [...labels, 'owl', 'bee'], ['owl', 'bee']],
  ])('adapts to examples of %s, and predicts', async (_, names, classes, added) => {
    for (const pattern of ['head', 'all']) {
      const examples = names.map((label) => ({ label, tensor: tensor() }));
      const answer = await post(`${server.url}/adapt`, { model: 'keep', examples, pattern, rate: 1e-3 });
      expect(answer.status).toBe(201);
      const adapted = (await answer.json()) as Adapted;
      expect(adapted).toMatchObject({ classes, added });
      const { examples: counts } = (await (await fetch(`${server.url}/profiles/${adapted.profile}`)).json()) as {
        examples: Record<string, number>;
      };
      expect(counts).toEqual(
        Object.fromEntries(classes.map((name) => [name, names.filter((label) => label === name).length])),
      );
      const predicted = await post(`${server.url}/predict`, { profile: adapted.profile, tensor: tensor() });
      const { probabilities } = (await predicted.json()) as { probabilities: object };
      expect(Object.keys(probabilities)).toEqual(classes);
    }
  });

  it.each<[string, string, object, number, string, RegExp]>([
    [
      'no profile of a new head',
      '/predict',
      { model: 'cosine', tensor: [] },
      400,
      'profile',
      /"cosine" has no classes/,
    ],
    ['an unknown model', '/predict', { model: 'none', tensor: [] }, 404, 'model', /one of keep, cosine, got "none"/],
    ['a profile and a model', '/predict', { model: 'keep', profile: 'x', tensor: [] }, 422, 'model', /got both/],
    [
      'more classes than there is room for',
      '/adapt',
      { examples: Array.from({ length: 101 }, (_, i) => ({ label: `new ${i}`, tensor: [] })) },
      422,
      'examples',
      /at most 103 classes, got 104, 3 of them the model's own/,
    ],
    [
      'one class of a new head',
      '/adapt',
      { model: 'cosine', examples: [{ label: 'a', tensor: [] }] },
      422,
      'examples',
      /at least 2 classes, got only "a"/,
    ],
  ])('refuses %s', async (_, path, body, status, field, detail) => {
    const answer = await post(`${server.url}${path}`, body);
    expect(answer.status).toBe(status);
    const problem = (await answer.json()) as { field: string; detail: string };
    expect(problem.field).toBe(field);
    expect(problem.detail).toMatch(detail);
  });
});
