import { type Bundle, loadBundle } from '@whet/runtime/node';
import { createMemoryStore, type RunningServer, startServer } from '@whet/server';
import { supportCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkAnswersOf } from './check-answers.js';
import { base64Of, type Drawing, post, tensorOf } from './server-fixture.js';

interface Adapted {
  readonly profile: string;
  readonly bytes: number;
}
interface Answer {
  readonly predictions: readonly { readonly label: string; readonly probabilities: Record<string, number> }[];
}

describe('a server of a bundle normalized by the support set', () => {
  let bundle: Bundle;
  let server: RunningServer;
  beforeAll(async () => {
    bundle = await loadBundle(await writeTinyBundle(supportCheckpoint()), { threads: 1 });
    server = await startServer({ bundles: new Map([['tiny', bundle]]), store: createMemoryStore(), version: '1.2.3' });
    await checkAnswersOf(server.url);
  });
  afterAll(async () => {
    await server.close();
    await bundle.release();
  });

  it('says how it is normalized', async () => {
    const { models } = (await (await fetch(`${server.url}/models`)).json()) as { models: object[] };
    expect(models[0]).toMatchObject({
      normalization: 'support',
      patterns: { 'from-block2': { normalizations: [{ name: 'norm1', channels: 4, frozen: true }, {}, {}, {}] } },
    });
  });

  it.each(['full', 'head', 'from-block3', 'sparse'])('adapts and predicts by pattern %s', async (pattern) => {
    const drawn: Drawing[] = ['left', 'top', 'corner'];
    const examples = await Promise.all(drawn.map(async (label) => ({ label, image: await base64Of(label) })));
    const adapted = await post(`${server.url}/adapt`, { examples, pattern });
    expect(adapted.status).toBe(201);
    const { profile, bytes } = (await adapted.json()) as Adapted;
    expect(bytes).toBeLessThan(8192);
    const predict = async (images: readonly Drawing[]) => {
      const answer = await post(`${server.url}/predict`, {
        profile,
        images: images.map((one) => ({ tensor: tensorOf(one) })),
      });
      expect(answer.status).toBe(200);
      return ((await answer.json()) as Answer).predictions;
    };
    const together = await predict(drawn);
    expect(together.map(({ label }) => label)).toEqual(drawn);
    for (const [i, shape] of drawn.entries()) {
      const [alone] = await predict([shape]);
      for (const name of drawn) {
        expect(alone?.probabilities[name]).toBeCloseTo(together[i]?.probabilities[name] as number, 4);
      }
    }
  });
});
