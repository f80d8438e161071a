import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { curlExamples } from '@whet/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  base64Of,
  type Drawing,
  fileOf,
  float32Base64,
  formOf,
  post,
  SIZE,
  startTestServer,
  type TestServer,
  tensorOf,
} from './server-fixture.js';

interface Adapted {
  profile: string;
  model: string;
  pattern: string;
  classes: string[];
  losses: number[];
  bytes: number;
  milliseconds: Record<string, number>;
}

interface Predicted {
  label?: string;
  probabilities?: Record<string, number>;
  predictions: { label: string; probabilities: Record<string, number> }[];
  milliseconds: Record<string, number>;
}

const SHAPES: readonly Drawing[] = ['left', 'top', 'corner'];
const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

async function adapt(body: unknown): Promise<Adapted> {
  const response = await post(`${server.url}/adapt`, body);
  const answer = (await response.json()) as Adapted;
  expect(response.status, JSON.stringify(answer)).toBe(201);
  expect(response.headers.get('location')).toBe(`/profiles/${answer.profile}`);
  expect(answer.profile).toMatch(UUID);
  return answer;
}

async function predict(body: unknown): Promise<Predicted> {
  const response = await post(`${server.url}/predict`, body);
  const answer = (await response.json()) as Predicted;
  expect(response.status, JSON.stringify(answer)).toBe(200);
  for (const { label, probabilities } of answer.predictions) {
    const values = Object.values(probabilities);
    expect(values.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    expect(probabilities[label]).toBe(Math.max(...values));
  }
  return answer;
}

const tensorExamples = (labels: readonly string[] = SHAPES) =>
  labels.map((label, i) => ({ label, tensor: tensorOf(SHAPES[i] as Drawing) }));

describe('POST /adapt and POST /predict', () => {
  test.each(['png', 'jpeg', 'webp'] as const)('learn from base64 %s and tell the same images apart', async (format) => {
    const files = await Promise.all(SHAPES.map((shape) => fileOf(shape, format)));
    const examples = SHAPES.map((label, i) => ({ label, image: files[i]?.toString('base64') }));
    const { profile, classes, losses, milliseconds } = await adapt({ examples });
    expect(classes).toEqual(SHAPES);
    expect(losses).toHaveLength(3);
    expect(Object.keys(milliseconds)).toEqual(['decode', 'encode', 'steps', 'total']);
    for (const [i, label] of SHAPES.entries()) {
      const answer = await predict({ profile, image: files[i]?.toString('base64') });
      expect(answer.label).toBe(label);
      expect(answer.predictions).toEqual([{ label, probabilities: answer.probabilities }]);
      expect(Object.keys(answer.milliseconds)).toEqual(['decode', 'predict', 'total']);
    }
  });

  test('give the same answers for an image, its data URL, its file and its tensor in either form', async () => {
    const base64 = await base64Of('top');
    const { profile } = await adapt({ examples: tensorExamples() });
    const answers = [
      await predict({ profile, image: base64 }),
      await predict({ profile, image: `data:image/png;base64,${base64}` }),
      await predict({ profile, image: `data:image/png;name=a.png;base64,${base64}` }),
      await predict({ profile, tensor: tensorOf('top') }),
      await predict({ profile, tensor: { data: float32Base64(tensorOf('top')) } }),
      await predict({ profile, images: [base64] }),
      await predict(
        formOf([
          ['profile', profile],
          ['image', await fileOf('top')],
        ]),
      ),
    ];
    for (const { probabilities } of answers) expect(probabilities).toEqual(answers[0]?.probabilities);
  });

  test('take a JPEG by whichever of its names', async () => {
    const { profile } = await adapt({ examples: tensorExamples() });
    const file = await fileOf('top', 'jpeg');
    const types = ['image/jpeg', 'image/jpg', 'image/pjpeg', 'IMAGE/JPG', 'image/png', 'application/octet-stream'];
    const answers = types.map((type) => predict({ profile, image: `data:${type};base64,${file.toString('base64')}` }));
    for (const { probabilities } of await Promise.all(answers)) {
      expect(probabilities).toEqual((await answers[0])?.probabilities);
    }
  });

  test('tell classes apart by what is seen of their names', async () => {
    const labels = ['caf\u00e9', 'cafe\u0301', 'caf\u00e9\u200b', 'x'];
    const examples = labels.map((label) => ({ label, tensor: tensorOf(label === 'x' ? 'left' : 'top') }));
    const first = await adapt({ examples });
    expect(first.classes).toEqual(['caf\u00e9', 'x']);
  });

  test('take several images in one request and answer as for each by itself', async () => {
    const { profile } = await adapt({ examples: tensorExamples() });
    const images = [await base64Of('corner'), { image: await base64Of('left') }, { tensor: tensorOf('top') }];
    const { predictions, ...rest } = await predict({ profile, images });
    expect(predictions.map(({ label }) => label)).toEqual(['corner', 'left', 'top']);
    expect(rest).not.toHaveProperty('label');
    const single = await predict({ profile, tensor: tensorOf('top') });
    for (const [name, value] of Object.entries(predictions[2]?.probabilities ?? {})) {
      expect(single.probabilities?.[name]).toBeCloseTo(value, 5);
    }
    const files = await Promise.all((['top', 'corner'] as const).map((shape) => fileOf(shape)));
    const form = formOf([...files.map((file) => ['query', file] as const), ['profile', profile]]);
    expect((await predict(form)).predictions.map(({ label }) => label)).toEqual(['top', 'corner']);
  });

  test('take a form whose file names are labels, uneven shots, and options as text', async () => {
    const [left, top] = [await fileOf('left'), await fileOf('top', 'webp')];
    const form = formOf([
      ['left', left],
      ['top', top],
      ['left', left],
      ['pattern', 'full'],
      ['steps', '1'],
      ['rate', '5e-2'],
      ['model', 'other'],
    ]);
    const { profile, ...answer } = await adapt(form);
    expect(answer).toMatchObject({ model: 'other', pattern: 'full', classes: ['left', 'top'] });
    expect(answer.losses).toHaveLength(1);
    const stored = await (await fetch(`${server.url}/profiles/${profile}`)).json();
    expect(stored).toMatchObject({ model: 'other', examples: { left: 2, top: 1 } });
    expect((await predict({ profile, tensor: tensorOf('left') })).label).toBe('left');
  });

  test('know a class from an option of the same name: one is a file, the other a text', async () => {
    const form = formOf([
      ['pattern', await fileOf('left')],
      ['model', await fileOf('top')],
      ['pattern', 'head'],
    ]);
    expect(await adapt(form)).toMatchObject({ classes: ['pattern', 'model'], pattern: 'head', model: 'tiny' });
  });

  test.each([
    [['__proto__', 'constructor', 'toString']],
    [['hasOwnProperty', 'prototype', 'valueOf']],
    [['10', '9', '-1']],
    [['é "quoted"', '日本 語', "it's <b> 50% 🙂"]],
  ])('take %j as ordinary names, in JSON and in a form', async (labels) => {
    const form = formOf(
      await Promise.all(labels.map(async (label, i) => [label, await fileOf(SHAPES[i] as Drawing)] as const)),
    );
    for (const body of [{ examples: tensorExamples(labels) }, form]) {
      const { profile, classes } = await adapt(body);
      expect(classes).toEqual(labels);
      const { label, probabilities } = await predict({ profile, tensor: tensorOf('left') });
      expect(label).toBe(labels[0]);
      expect(Object.keys(probabilities ?? {}).sort()).toEqual([...labels].sort());
      const { examples } = (await (await fetch(`${server.url}/profiles/${profile}`)).json()) as Record<string, object>;
      expect(Object.entries(examples ?? {}).sort()).toEqual(labels.map((name) => [name, 1]).sort());
    }
  });

  test('tell the times in a Server-Timing header too', async () => {
    const response = await post(`${server.url}/adapt`, { examples: tensorExamples() });
    const { milliseconds } = (await response.json()) as Adapted;
    const header = Object.entries(milliseconds).map(([name, value]) => `${name};dur=${value}`);
    expect(response.headers.get('server-timing')).toBe(header.join(', '));
    expect(milliseconds['total']).toBeGreaterThanOrEqual((milliseconds['encode'] ?? 0) + (milliseconds['steps'] ?? 0));
  });

  test('store what the runtime stores, and with no steps start from class prototypes', async () => {
    const { profile, bytes, losses } = await adapt({ examples: tensorExamples(), steps: 0, pattern: 'head' });
    expect(losses).toEqual([]);
    const record = await server.store.get('local', profile);
    expect(record?.bytes.byteLength).toBe(bytes);
    const examples = SHAPES.map((label) => ({ label, image: Float32Array.from(tensorOf(label)) }));
    const direct = await server.bundle.adapt(examples, { steps: 0, pattern: 'head' });
    expect(Buffer.from(record?.bytes ?? []).equals(direct.profile.toBytes())).toBe(true);
  });

  test('take as many examples and classes as the bundle allows', async () => {
    const labels = Array.from({ length: 12 }, (_, i) => `class ${i % 5}`);
    const form = formOf(await Promise.all(labels.map(async (label) => [label, await fileOf('top')] as const)));
    for (const body of [{ examples: labels.map((label) => ({ label, tensor: tensorOf('top') })) }, form]) {
      expect((await adapt(body)).classes).toHaveLength(5);
    }
  });

  test('serve many at once', async () => {
    const before = (await server.store.usage()).profiles;
    const profiles = await Promise.all(Array.from({ length: 20 }, () => adapt({ examples: tensorExamples() })));
    expect(new Set(profiles.map(({ profile }) => profile)).size).toBe(20);
    expect((await server.store.usage()).profiles).toBe(before + 20);
    const labels = await Promise.all(
      profiles.map(async ({ profile }) => (await predict({ profile, tensor: tensorOf('corner') })).label),
    );
    expect(new Set(labels)).toEqual(new Set(['corner']));
  });
});

describe('GET', () => {
  test('/health counts profiles and seconds', async () => {
    const response = await fetch(`${server.url}/health`);
    const { uptime, profiles, ...rest } = (await response.json()) as Record<string, unknown>;
    expect(rest).toEqual({ status: 'ok', version: '1.2.3', models: ['tiny', 'other'] });
    expect(uptime).toBeGreaterThan(0);
    expect(profiles).toBe((await server.store.usage()).profiles);
    expect(response.headers.has('x-powered-by')).toBe(false);
    expect((await fetch(`${server.url}/health`, { method: 'HEAD' })).status).toBe(200);
  });

  test('/models tells what the manifest tells', async () => {
    const { models } = (await (await fetch(`${server.url}/models`)).json()) as { models: Record<string, unknown>[] };
    const { manifest, digest } = server.bundle;
    expect(models.map(({ name }) => name)).toEqual(['tiny', 'other']);
    const { patterns, ...model } = models[0] as { patterns: Record<string, Record<string, unknown>> };
    expect(model).toEqual({
      name: 'tiny',
      version: '1.0.0',
      description: 'Random weights.',
      digest,
      preprocessing: manifest.preprocessing,
      normalization: 'population',
      head: 'prototype',
      limits: { maxClasses: 5, maxExamples: 12 },
      defaultPattern: 'sparse',
      measurements: [],
    });
    expect(Object.keys(patterns)).toEqual(Object.keys(manifest.patterns));
    for (const [name, pattern] of Object.entries(patterns)) {
      expect(pattern['default']).toBe(name === 'sparse');
      expect(pattern['moving']).toEqual(manifest.patterns[name]?.moving);
      expect(pattern).toMatchObject({ steps: 3, rate: 0.002 });
      expect(pattern).not.toHaveProperty('graphs');
    }
  });

  test('/profiles/:id tells what is known of a profile', async () => {
    const began = Date.now();
    const { profile, bytes } = await adapt({ examples: tensorExamples(), pattern: 'full' });
    const { created, updated, ...rest } = (await (await fetch(`${server.url}/profiles/${profile}`)).json()) as {
      created: string;
      updated: string;
    };
    expect(rest).toEqual({
      profile,
      model: 'tiny',
      pattern: 'full',
      classes: SHAPES,
      examples: { left: 1, top: 1, corner: 1 },
      bytes,
      version: 1,
    });
    expect(updated).toBe(created);
    expect(new Date(created).toISOString()).toBe(created);
    expect(Date.parse(created)).toBeGreaterThanOrEqual(began);
  });
});

test('the curl lines work as pasted', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'whet curl, '));
  try {
    const write = async (shape: Drawing) => {
      const path = join(folder, `${shape}'s ${SIZE}.png`);
      await writeFile(path, await fileOf(shape));
      return path;
    };
    const examples = [
      { label: 'left', path: await write('left') },
      { label: 'the "top"; it\'s, @', path: await write('top') },
    ];
    const lines = curlExamples(server.url, { examples, queries: [examples[1]?.path ?? ''] });
    const { stdout } = await promisify(execFile)('sh', ['-c', lines.join('\n')]);
    const [health, adapted, predicted] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(health).toMatchObject({ status: 'ok' });
    expect(adapted).toMatchObject({ classes: examples.map(({ label }) => label) });
    expect(predicted).toMatchObject({ label: examples[1]?.label });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
