import type { AdaptAnswer } from '@whet/runtime/client';
import { WhetClient } from '@whet/runtime/client';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { createMemoryStore, type RunningServer, startServer } from '@whet/server';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BRIGHT, photographs } from '../bundle/photographs.js';
import { compileBytes } from '../compile/compile-helpers.js';
import { checkAnswersOf } from './check-answers.js';
import { formOf, post } from './server-fixture.js';

const { model, plain } = photographs(5);
let bundle: Bundle;
let server: RunningServer;
beforeAll(async () => {
  const patterns = { head: ['none'], last: ['last:1'] };
  const form = { rate: 0.01, steps: 10, mean: [0.5], std: [0.5 / BRIGHT] };
  const { directory } = await compileBytes(model, { patterns, ...form });
  bundle = await loadBundle(directory, { threads: 1 });
  const bundles = new Map([['m', bundle]]);
  server = await startServer({ bundles, store: createMemoryStore(), version: '1.2.3' });
  await checkAnswersOf(server.url);
});
afterAll(async () => {
  await server?.close();
  await bundle?.release();
});

const examples = plain([3, 3]);
const reason = /^views of the examples have a loss of 0\.0\d\d, which leaves nothing to learn$/;
const whatCame = ({ spared, losses }: AdaptAnswer) => [spared, losses.length];
const SPARED = [expect.stringMatching(reason), 0];
const TAKEN = [undefined, 10];

async function filesOf(): Promise<[string, Uint8Array][]> {
  const files: [string, Uint8Array][] = [];
  for (const [label, level] of [
    ['dark', 0],
    ['light', 255],
  ] as const) {
    const create = { width: 8, height: 8, channels: 3, background: { r: level, g: level, b: level } } as const;
    const bytes = await sharp({ create }).png().toBuffer();
    for (let i = 0; i < 3; i++) files.push([label, bytes]);
  }
  return files;
}

describe('POST /adapt to what views of tell that there is nothing to learn', () => {
  const sources = {
    'in JSON': async (always?: boolean, pattern = 'last') => {
      const tensors = examples.map(({ label, image }) => ({ label, tensor: [...image] }));
      return post(`${server.url}/adapt`, { pattern, examples: tensors, ...(always === undefined ? {} : { always }) });
    },
    'in a form': async (always?: boolean, pattern = 'last') => {
      const given = always === undefined ? [] : [['always', String(always)] as const];
      return post(`${server.url}/adapt`, formOf([['pattern', pattern], ...given, ...(await filesOf())]));
    },
  };

  describe.each(Object.entries(sources))('%s', (_, send) => {
    it('says why no step was taken', async () => {
      for (const always of [undefined, false]) {
        const answer = await send(always);
        expect(answer.status).toBe(201);
        expect(whatCame((await answer.json()) as AdaptAnswer)).toEqual(SPARED);
      }
    });

    it('takes the steps where they are always to be', async () => {
      expect(whatCame((await (await send(true)).json()) as AdaptAnswer)).toEqual(TAKEN);
    });

    it('refuses that of a pattern that is chosen by whether they pay', async () => {
      const answer = await send(true, 'auto');
      const { field, detail } = (await answer.json()) as { field: string; detail: string };
      expect([answer.status, field]).toEqual([422, 'always']);
      expect(detail).toMatch(/expected a pattern by its name, as its steps are always taken, got .auto/);
      expect((await send(false, 'auto')).status).toBe(201);
    });
  });

  it('by the client, with steps or without', async () => {
    const client = new WhetClient(server.url);
    expect(whatCame(await client.adapt({ examples, pattern: 'last' }))).toEqual(SPARED);
    const steps: number[] = [];
    const call = { onStep: (step: number) => steps.push(step) };
    expect(whatCame(await client.adapt({ examples, pattern: 'last', always: true }, call))).toEqual(TAKEN);
    expect(steps).toHaveLength(10);
    const refused = client.adapt({ examples, pattern: 'auto', always: true });
    await expect(refused).rejects.toMatchObject({ problem: { field: 'always' } });
  });
});
