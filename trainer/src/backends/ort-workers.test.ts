import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { GraphBuilder, GraphError } from '@whet/compiler';
import { describe, expect, it, vi } from 'vitest';
import { runAll, taskRunner } from '../task/task-runner.js';
import { openOrtBackend, ortBackend } from './ort.js';
import { openTfjsBackend } from './tfjs/open.js';

/** `x [2]` and how many it was run with: whether the answer belongs to the question. */
function doubling() {
  const g = new GraphBuilder();
  const x = g.input('x', [2]);
  const y = g.apply('Add', [x, x], {});
  const index = g.apply('ArgMax', [x], { axis: 0, keepdims: 0, select_last_index: 0 });
  return {
    name: 'doubling',
    inputs: [x],
    outputs: new Map([
      ['y', y],
      ['index', index],
    ]),
  };
}

describe('onnxruntime in several threads', () => {
  it('answers every run with its own outcome, in the order they were asked, whichever thread ends first', async () => {
    const runner = await taskRunner(ortBackend({ workers: 3 }), doubling());
    expect(runner.parallel).toBe(3);
    const feeds = Array.from({ length: 40 }, (_, i) => new Map([['x', Float32Array.of(i, 2 * i + 1)]]));
    const found: number[][] = [];
    for await (const outputs of runAll(runner, feeds))
      found.push([...(outputs.get('y') ?? []), ...(outputs.get('index') ?? [])]);
    expect(found).toEqual(feeds.map((_, i) => [2 * i, 4 * i + 2, 1]));
    await runner.release();
    await expect(runner.run(feeds[0] as (typeof feeds)[0])).rejects.toThrow('the session was given back');
  });

  it('leaves what it is fed whole, also a part of a longer array', async () => {
    const runner = await taskRunner(ortBackend({ workers: 2 }), doubling());
    const long = Float32Array.of(1, 2, 3, 4);
    const outputs = await runner.run(new Map([['x', long.subarray(1, 3)]]));
    expect([...(outputs.get('y') ?? [])]).toEqual([4, 6]);
    expect([...long]).toEqual([1, 2, 3, 4]);
    await runner.release();
  });

  it('throws what onnxruntime says of a graph, and goes on with the next', async () => {
    const g = new GraphBuilder();
    const x = g.input('x', [2]);
    const at = g.input('at', [1], 'int64');
    const picked = g.apply('Gather', [x, at], { axis: 0 });
    const graph = { name: 'pick', inputs: [x, at], outputs: new Map([['y', picked]]) };
    const executable = await ortBackend({ workers: 2 }).compile(graph);
    const feeds = (index: number) =>
      new Map([
        ['x', { dtype: 'float32', shape: [2], data: Float32Array.of(1, 2) } as const],
        ['at', { dtype: 'int64', shape: [1], data: Float64Array.of(index) } as const],
      ]);
    await expect(executable.run(feeds(5))).rejects.toThrow(/Gather/);
    expect([...((await executable.run(feeds(1))).get('y')?.data ?? [])]).toEqual([2]);
    await expect(executable.run(new Map())).rejects.toThrow(GraphError);
    await executable.release();
  });

  it('is named by its device, and refused where there is one device to compute on', async () => {
    const { device, parallel } = await openOrtBackend('cpu', { workers: 2, threads: 1 });
    expect(device).toMatch(/^CPU \(.+, 2 workers of 1 thread\)$/);
    expect(parallel).toBe(2);
    const refusal = 'it runs one graph at a time, not 2 in workers';
    await expect(openOrtBackend('webgpu', { workers: 2 })).rejects.toThrow(refusal);
    await expect(openTfjsBackend('tfjs-cpu', { workers: 2 })).rejects.toThrow(refusal);
    await expect(openTfjsBackend('tfjs', { workers: 2 })).rejects.toThrow(refusal);
  });

  it('takes the threads that WHET_THREADS says, each', async () => {
    vi.stubEnv('WHET_THREADS', '3');
    expect((await openOrtBackend('cpu', { workers: 2 })).device).toContain('2 workers of 3 threads');
    vi.stubEnv('WHET_THREADS', '');
    const share = Math.max(1, Math.floor(availableParallelism() / 2));
    expect((await openOrtBackend('cpu', { workers: 2 })).device).toContain(`2 workers of ${share} thread`);
    vi.unstubAllEnvs();
  });

  it('ends its threads with its last session, after what was asked before, and starts others for the next', async () => {
    const threads = () => readdirSync('/proc/self/task').length;
    const backend = ortBackend({ workers: 2, threads: 1 });
    const feeds = new Map([['x', Float32Array.of(1, 2)]]);
    const round = async () => {
      const runner = await taskRunner(backend, doubling());
      const asked = Array.from({ length: 6 }, () => runner.run(feeds));
      await runner.release();
      expect((await Promise.all(asked)).map((outputs) => outputs.get('y'))).toEqual(
        asked.map(() => Float32Array.of(2, 4)),
      );
    };
    // What the process itself starts once, such as Node.js's pool, is there after the first.
    await round();
    const before = threads();
    for (let i = 0; i < 3; i++) await round();
    if (process.platform !== 'linux') return;
    await vi.waitFor(() => expect(threads()).toBeLessThanOrEqual(before), { timeout: 5000 });
  });
});
