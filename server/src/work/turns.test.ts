import { expect, test } from 'vitest';
import { Budget, Turns } from './turns.js';

const never = new AbortController().signal;

/** Turns whose jobs run until they are told to end; `began` has them in the order of their beginnings. */
function watched(options: ConstructorParameters<typeof Turns>[0]) {
  const turns = new Turns(options);
  const began: string[] = [];
  const ends = new Map<string, () => void>();
  const add = (owner: string, name: string, size: number, signal: AbortSignal = never) =>
    turns.run(owner, size, signal, () => {
      began.push(name);
      return new Promise<string>((resolve) => {
        ends.set(name, () => resolve(name));
      });
    });
  const end = async (name: string) => {
    ends.get(name)?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { add, began, end };
}

test('whoever has had the least is next, the smallest of theirs first', async () => {
  const { add, began, end } = watched({ slots: 1, largeSlots: 1, large: 100 });
  for (const [name, size] of [
    ['a1', 10],
    ['a2', 30],
    ['a3', 20],
    ['a4', 20],
  ] as const)
    void add('a', name, size);
  void add('b', 'b1', 15);
  void add('b', 'b2', 15);
  for (const name of ['a1', 'b1', 'a3', 'b2', 'a4', 'a2']) {
    expect(began.at(-1)).toBe(name);
    await end(name);
  }
  expect(began).toHaveLength(6);
});

test('large ones leave a slot to small ones, of their owner too', async () => {
  const { add, began, end } = watched({ slots: 2, largeSlots: 1, large: 100 });
  for (const name of ['a1', 'a2', 'a3']) void add('a', name, 100);
  void add('a', 'small', 99);
  void add('b', 'b1', 1000);
  expect(began).toEqual(['a1', 'small']);
  await end('small');
  void add('b', 'more', 1);
  expect(began).toEqual(['a1', 'small', 'more']);
  await end('a1');
  expect(began.at(-1)).toBe('b1');
});

test('who goes away is told at once, leaves the line, and keeps the slot only while the job runs', async () => {
  const { add, began, end } = watched({ slots: 1, largeSlots: 1, large: 100 });
  const gone = new AbortController();
  const running = add('a', 'running', 1, gone.signal);
  const waiting = add('a', 'waiting', 1, gone.signal);
  const next = add('b', 'next', 1);
  gone.abort(new Error('gone'));
  await expect(running).rejects.toThrow('gone');
  await expect(waiting).rejects.toThrow('gone');
  expect(began).toEqual(['running']);
  await end('running');
  await end('next');
  expect(await next).toBe('next');
  expect(began).toEqual(['running', 'next']);
  expect(() => add('a', 'late', 1, gone.signal)).toThrow('gone');
});

test('a long list of small ones lets others of its owner pass', async () => {
  const turns = new Turns({ slots: 1, largeSlots: 1, large: 100 });
  const began: string[] = [];
  const add = (name: string, size: number, order?: number) =>
    turns.run('a', size, never, async () => void began.push(name), order);
  await Promise.all([add('1', 1, 1), add('2', 1, 2), add('3', 1, 3), add('4', 1, 4), add('other', 3)]);
  expect(began).toEqual(['1', '2', '3', 'other', '4']);
});

test('a job that throws at once gives its slot back', async () => {
  const turns = new Turns({ slots: 1, largeSlots: 1, large: 100 });
  const failing = turns.run('a', 1, never, () => {
    throw new Error('no thread');
  });
  await expect(failing).rejects.toThrow('no thread');
  expect(await turns.run('b', 1, never, async () => 'ran')).toBe('ran');
});

test('a budget is of each owner, is given back, and lets one request pass whatever it asks for', () => {
  const budget = new Budget(100, 'pixels');
  const back = budget.take('a', 60);
  expect(() => budget.take('a', 41)).toThrow('expected at most 100 pixels at once, got 101');
  budget.take('b', 100);
  const rest = budget.take('a', 40);
  back();
  rest();
  budget.take('a', 1000);
});
