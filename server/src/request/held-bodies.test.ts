import { expect, test } from 'vitest';
import { HeldBodies } from './held-bodies.js';

/** Bodies of 100 bytes together and, unless it is said, of any owner; `refused` has the names of those that were refused. */
function held({ ownerBytes = 1000, smallBytes = 0 } = {}) {
  const bodies = new HeldBodies({ bytes: 100, ownerBytes }, smallBytes);
  const refused: string[] = [];
  const begin = (owner: string, name: string) => bodies.begin(owner, ({ kind }) => refused.push(`${name} ${kind}`));
  return { begin, refused };
}

test('over the limit, the largest that still comes of whoever holds the most is refused', () => {
  const { begin, refused } = held();
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
  const { begin, refused } = held();
  const first = begin('a', 'first');
  first.add(90);
  first.end();
  first.free();
  first.free();
  const second = begin('a', 'second');
  second.add(100);
  expect(refused).toEqual([]);
  second.add(1);
  expect(refused).toEqual(['second busy']);
});

test('whole bodies of others refuse no small one', () => {
  const { begin, refused } = held({ smallBytes: 10 });
  for (const owner of ['a', 'b']) {
    const whole = begin(owner, owner);
    whole.add(50);
    whole.end();
  }
  const small = begin('c', 'small');
  small.add(10);
  expect(refused).toEqual([]);
  small.add(1);
  expect(refused).toEqual(['small busy']);
});

test('whole bodies of one owner leave room for others', () => {
  const { begin, refused } = held({ ownerBytes: 50, smallBytes: 5 });
  const first = begin('a', 'first');
  first.add(50);
  first.end();
  const [second, small] = [begin('a', 'second'), begin('a', 'small')];
  second.add(5);
  small.add(5);
  expect(refused).toEqual([]);
  second.add(1);
  expect(refused).toEqual(['second busy']);
  const other = begin('b', 'other');
  other.add(45);
  expect(refused).toEqual(['second busy']);
});

test('one body alone may have more than the share of its owner, beside small ones', () => {
  const { begin, refused } = held({ ownerBytes: 50, smallBytes: 5 });
  begin('a', 'small').add(5);
  begin('a', 'large').add(95);
  expect(refused).toEqual([]);
});

test('a whole body that grows too much gives way, and makes others give way that hold more', () => {
  const { begin, refused } = held();
  const [packed, large] = [begin('a', 'packed'), begin('b', 'large')];
  packed.add(10);
  packed.end();
  large.add(60);
  packed.grow(40);
  expect(refused).toEqual(['large busy']);
  expect(() => packed.grow(51)).toThrow('expected at most 100 bytes of bodies at once, got more');
  // It is not counted any more.
  begin('b', 'next').add(100);
  expect(refused).toEqual(['large busy']);
});
