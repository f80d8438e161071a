import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { EngineError } from './engine.js';
import { EngineThread, type Patience } from './engine-thread.js';

// Threads that fail in every way, in place of the one that computes.

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-thread-'));
});
afterAll(() => rm(folder, { recursive: true }));

let thread: EngineThread | undefined;
afterEach(async () => {
  await thread?.close();
  thread = undefined;
});

const READY = "port.postMessage({ type: 'ready', models: [], sessions: 3 });";
/** Answers what it is asked by the name of the model. */
const ANSWERS = `
  port.on('message', (message) => {
    const { type, id, model = message.job?.model } = message;
    if (type === 'close') port.close();
    if (type === 'abort' || type === 'close') return;
    if (model === 'fine') port.postMessage({ type: 'done', id, value: [], sessions: 4 });
    if (model === 'failing') port.postMessage({ type: 'failed', id, error: { name: 'InputError', message: 'a: no', field: 'a' }, sessions: 5 });
    if (model === 'throwing') throw new Error('thrown');
    if (model === 'rejecting') Promise.reject(new Error('rejected'));
    if (model === 'exiting') process.exit(7);
    if (model === 'busy') for (;;);
    if (model === 'stepping') port.postMessage({ type: 'step', id, step: 1, loss: 0.5 });
  });`;

async function start(body: string, patience: Partial<Patience> = {}): Promise<EngineThread> {
  const script = join(folder, `${Math.random()}.mjs`);
  await writeFile(
    script,
    `import { parentPort as port } from 'node:worker_threads'; import { existsSync } from 'node:fs'; ${body}`,
  );
  const settings = { directories: [], threads: 1, preload: 'default', runs: 'adapt', niceness: 0 } as const;
  thread = await EngineThread.start(new URL(`file://${script}`), settings, {
    answerMs: 60_000,
    restartMs: [20, 40],
    ...patience,
  });
  return thread;
}

/** Sooner or later: of what is slow, an impatient thread is started anew as well. */
const expectAnswered = (one: EngineThread) =>
  expect.poll(() => one.predict('fine', []).catch(() => 'not yet'), { timeout: 60_000 }).toEqual([]);
const job = (model: string) => ({ model, examples: [] });
const never = new AbortController().signal;

test('a thread that was begun is asked before it is there, and is tried again where it does not start', async () => {
  const script = join(folder, 'begun.mjs');
  const mark = join(folder, 'begun');
  const header =
    "import { parentPort as port } from 'node:worker_threads'; import { existsSync, writeFileSync } from 'node:fs';";
  const once = `if (!existsSync('${mark}')) { writeFileSync('${mark}', ''); throw new Error('not yet'); }`;
  await writeFile(script, `${header} ${once} ${ANSWERS} ${READY}`);
  const settings = { directories: [], threads: 1, preload: 'default', runs: 'adapt', niceness: 0 } as const;
  thread = EngineThread.begin(new URL(`file://${script}`), settings, 1);
  await expect(thread.predict('fine', [])).rejects.toThrow('a thread of the engine ended: not yet');
  await expectAnswered(thread);
  expect(thread.generation).toBe(1);
});

test.each(['throwing', 'rejecting', 'exiting'])(
  'a thread that ends %s: what waits is told, and the next is answered',
  async (model) => {
    const one = await start(ANSWERS + READY);
    const all = await Promise.allSettled([
      one.adapt(job('silent'), { signal: never }),
      one.inspect('silent', new Uint8Array()),
      one.predict(model, []),
    ]);
    for (const each of all) {
      expect(each).toMatchObject({ status: 'rejected', reason: expect.any(EngineError) });
      expect(String((each as PromiseRejectedResult).reason)).toMatch(
        /a thread of the engine ended: (thrown|rejected|code 7)/,
      );
    }
    expect([one.busy, one.sessions]).toEqual([0, 0]);
    expect(await one.predict('fine', [])).toEqual([]);
    expect([one.generation, one.sessions]).toEqual([1, 4]);
    await expect(one.predict('failing', [])).rejects.toMatchObject({ name: 'InputError', field: 'a' });
  },
);

test('a thread that never answers is given up, and the next is answered', async () => {
  const one = await start(ANSWERS + READY, { answerMs: 200 });
  for (const model of ['silent', 'busy']) {
    await expect(one.predict(model, [])).rejects.toThrow('expected an answer of a thread of the engine within 200 ms');
    await expectAnswered(one);
  }
  expect(one.generation).toBeGreaterThan(1);
});

test('an adaptation may take its time; one that was cancelled and does not stop is given up with its thread', async () => {
  const one = await start(ANSWERS + READY, { answerMs: 200 });
  const controller = new AbortController();
  const adapting = one.adapt(job('busy'), { signal: controller.signal });
  await pause(500);
  expect([one.busy, one.generation]).toEqual([1, 0]);
  controller.abort(new Error('gone'));
  await expect(adapting).rejects.toThrow('gone');
  // Until then, it is busy.
  expect(one.busy).toBe(1);
  await expect.poll(() => one.generation, { timeout: 10_000 }).toBe(1);
  expect(one.busy).toBe(0);
  await expectAnswered(one);
  await expect(one.adapt(job('fine'), { signal: controller.signal })).rejects.toThrow('gone');
});

test('who listens to steps and throws ends the one adaptation', async () => {
  const one = await start(ANSWERS + READY);
  const onStep = () => {
    throw new Error('of the listener');
  };
  await expect(one.adapt(job('stepping'), { signal: never, onStep })).rejects.toThrow('of the listener');
  expect(await one.predict('fine', [])).toEqual([]);
});

test('what cannot be sent is told to who sends it, and waits for nothing', async () => {
  const one = await start(ANSWERS + READY);
  const images = [(() => undefined) as unknown as Float32Array];
  await expect(one.predict('fine', [{ key: undefined, images }])).rejects.toThrow(/could not be cloned/);
  expect(one.busy).toBe(0);
  expect(await one.predict('fine', [])).toEqual([]);
});

test('a thread that cannot be started again is tried again, later and later, and what is asked meanwhile is told', async () => {
  const missing = join(folder, 'missing');
  const count = join(folder, 'count');
  const body = `import { appendFileSync } from 'node:fs'; appendFileSync(${JSON.stringify(count)}, '.');
    if (existsSync(${JSON.stringify(missing)})) throw new Error('no bundle here');`;
  const one = await start(body + ANSWERS + READY);
  await writeFile(missing, '');
  await expect(one.predict('exiting', [])).rejects.toThrow('code 7');
  await expect(one.predict('fine', [])).rejects.toThrow('a thread of the engine ended: no bundle here');
  await expect(one.adapt(job('fine'), { signal: never })).rejects.toThrow(EngineError);
  expect(existsSync(count)).toBe(true);
  await rm(missing);
  await expectAnswered(one);
});

test('one that does not start again in time is given up, and one that was closed answers nothing', async () => {
  const stuck = join(folder, 'stuck');
  const one = await start(`if (existsSync(${JSON.stringify(stuck)})) for (;;); ${ANSWERS} ${READY}`, { startMs: 100 });
  await writeFile(stuck, '');
  await expect(one.predict('exiting', [])).rejects.toThrow('code 7');
  await expect(one.predict('fine', [])).rejects.toThrow(/expected a thread of the engine to start within \d+ ms/);
  await rm(stuck);
  await expectAnswered(one);
  await one.close();
  await expect(one.predict('fine', [])).rejects.toThrow('a thread of the engine has ended');
});

test('one that does not start rejects, and is not tried again', async () => {
  await expect(start("throw new Error('no bundle');")).rejects.toThrow('a thread of the engine ended: no bundle');
  await expect(
    start("class BundleError extends Error { name = 'BundleError' } throw new BundleError('a: no');"),
  ).rejects.toMatchObject({
    name: 'BundleError',
    message: 'a: no',
  });
  await expect(start('process.exit(3);')).rejects.toThrow('a thread of the engine ended: code 3');
});

test.each(['idle', 'busy'])('closes one that does not end when it is told to: %s', async (model) => {
  const one = await start(
    `setInterval(() => {}, 1000); ${ANSWERS.replace("if (type === 'close') port.close();", '')}${READY}`,
    {
      closeMs: 100,
    },
  );
  const asked = model === 'busy' ? one.predict(model, []).catch((error: unknown) => error) : undefined;
  await one.close();
  if (asked) expect(await asked).toBeInstanceOf(EngineError);
  expect(one.generation).toBe(0);
});
