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
      message: expect.stringContaining('expected a thread that parses JSON, got no answer within 0 ms; try again soon'),
    });
  }
  await reader.close();
});

/** A thread that runs other code. */
const scriptOf = (code: string) => new URL(`data:text/javascript,${encodeURIComponent(code)}`);

test('a thread that ends while it parses is no fault of the body', async () => {
  const reader = new JsonReader(30_000, scriptOf('process.exit(0)'));
  for (let i = 0; i < 2; i++) {
    await expect(reader.parse('a', source(), never)).rejects.toMatchObject({
      kind: 'unavailable',
      message: 'body: expected a thread that parses JSON, got one that ended; try again soon',
      headers: { 'Retry-After': '2' },
    });
  }
  await reader.close();
});

test('what a thread fails with, such as that no file can be opened, is told as it is', async () => {
  const code = "throw Object.assign(new Error('no file'), { code: 'EMFILE' })";
  const reader = new JsonReader(30_000, scriptOf(code));
  for (let i = 0; i < 2; i++) {
    await expect(reader.parse('a', source(), never)).rejects.toMatchObject({ code: 'EMFILE', message: 'no file' });
  }
  await reader.close();
});

test('a body whose parts do not fit into the memory of a thread is too large', async () => {
  const reader = new JsonReader(60_000, scriptOf('const all = []; for (;;) all.push(new Array(1e6).fill(0))'));
  await expect(reader.parse('a', source(), never)).rejects.toMatchObject({
    kind: 'too-large',
    message: 'body: expected JSON that fits into memory, got more',
  });
  await reader.close();
});
