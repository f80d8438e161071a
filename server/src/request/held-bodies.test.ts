import { expect, test } from 'vitest';
import { HeldBodies } from './held-bodies.js';

test('over the limit, the largest that still comes of whoever holds the most is refused', () => {
  const bodies = new HeldBodies(100);
  const refused: string[] = [];
  const begin = (owner: string, name: string) => bodies.begin(owner, ({ kind }) => refused.push(`${name} ${kind}`));
  const small = begin('b', 'small');
  const [first, second, whole] = [begin('a', 'first'), begin('a', 'second'), begin('a', 'whole')];
  whole.add(45);
  whole.end();
  first.add(20);
  second.add(30);
  expect(refused).toEqual([]);
  small.add(6);
  expect(refused).toEqual(['second busy']);
  // What was refused is not counted any more.
  second.add(1000);
  small.add(29);
  expect(refused).toEqual(['second busy']);
  small.add(1);
  expect(refused).toEqual(['second busy', 'first busy']);
});

test('what is let go makes room, also twice', () => {
  const bodies = new HeldBodies(100);
  let refused = 0;
  const begin = () => bodies.begin('a', () => refused++);
  const first = begin();
  first.add(90);
  first.end();
  first.free();
  first.free();
  const second = begin();
  second.add(100);
  expect(refused).toBe(0);
  second.add(1);
  expect(refused).toBe(1);
});
