import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import type { Dataset } from './dataset.js';
import { omniglotPreprocessing } from './omniglot.js';
import { type BatchRequest, directTasks } from './task-batches.js';
import { tasksAhead } from './tasks-ahead.js';

const classes = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    name: `class ${i}`,
    count: 4,
    pixels: Uint8Array.from({ length: 4 * 16 }, (__, at) => (37 * at + 11 * i) % 256),
  }));

const dataset: Dataset = {
  name: 'synthetic',
  preprocessing: omniglotPreprocessing(4),
  splits: { train: classes(6), validation: [], test: [] },
};
const options = { seed: 3, rotations: true, augment: { shift: 1, degrees: 5, scale: 0.1 } };

const request = (first: number, shots = 1): BatchRequest => ({
  shape: { ways: 3, shots, queries: 2 },
  first,
  count: 2,
  tasks: 2,
});

describe('tasks drawn ahead', () => {
  it('are those drawn when asked for, whether announced, announced wrongly, or not at all', async () => {
    const [direct, ahead] = [directTasks(dataset, options), tasksAhead(dataset, options)];
    const asked: [BatchRequest, BatchRequest | undefined][] = [
      [request(0), request(4, 2)],
      [request(4, 2), request(8)],
      [request(20), undefined],
      [request(8), request(12)],
      [request(12), undefined],
    ];
    for (const [now, next] of asked) {
      const batches = await ahead.batches(now, next);
      expect(batches).toEqual(await direct.batches(now));
      expect(batches.map(({ tasks, query }) => [tasks, query.length])).toEqual([
        [2, 2 * 6 * 16],
        [2, 2 * 6 * 16],
      ]);
    }
    await ahead.release();
  });

  it('fail where the thread fails, with its reason', async () => {
    const empty: Dataset = { ...dataset, splits: { ...dataset.splits, train: [] } };
    const ahead = tasksAhead(empty, options);
    await expect(ahead.batches(request(0))).rejects.toThrow('synthetic: expected classes in train, got none');
    await ahead.release();
  });

  it('fail where the thread is released while it draws, and from then on', async () => {
    const ahead = tasksAhead(dataset, options);
    const drawing = ahead.batches(request(0));
    await ahead.release();
    await expect(drawing).rejects.toThrow('the thread that draws tasks has ended');
    await expect(ahead.batches(request(4))).rejects.toThrow('the thread that draws tasks has ended');
  });

  it('are not held once they were handed over', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const ahead = tasksAhead(dataset, options);
    const refs: WeakRef<object>[] = [];
    for (let step = 0; step < 4; step++) {
      refs.push(new WeakRef(await ahead.batches(request(4 * step), request(4 * step + 4))));
    }
    await vi.waitFor(() => {
      collect();
      // The last may still be on the stack.
      expect(refs.slice(0, -1).map((ref) => ref.deref())).toEqual([undefined, undefined, undefined]);
    });
    await ahead.release();
  });
});
