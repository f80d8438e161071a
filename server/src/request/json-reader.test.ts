import { expect, test } from 'vitest';
import { JsonReader } from './json-reader.js';
import { jsonLimits } from './parse-json.js';

const source = () => ({
  bytes: Buffer.from(`{"a":"${'x'.repeat(100_000)}"}`),
  encoding: 'identity' as const,
  limits: jsonLimits(10, 4, 2 ** 20),
});
const never = new AbortController().signal;

test('a thread that does not answer is given up, and the next body has another', async () => {
  // No thread starts within this time.
  const reader = new JsonReader(0);
  for (let i = 0; i < 2; i++) {
    await expect(reader.parse('a', source(), never)).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('expected JSON that a thread parses, got nothing within 0 ms'),
    });
  }
  await reader.close();
});

test('a thread that ends while it parses, as one without memory does, is told of', async () => {
  const reader = new JsonReader();
  const parsing = expect(reader.parse('a', source(), never)).rejects.toMatchObject({
    kind: 'too-large',
    message: 'body: expected JSON that fits into memory, got more',
  });
  // Its turn comes at once; the thread is still starting.
  await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  await reader.close();
  await parsing;
});
