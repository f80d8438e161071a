import { expect, it } from 'vitest';
import { comparePeer } from './compare-peer.js';
import type { TimedTask } from './peer-record.js';

const task = { network: 'net', pattern: 'head', ways: 5, shots: 5, steps: 1 };
const machine = { cpu: 'Abacus', cores: 4, threads: 2 };
const own: TimedTask = { task, machine, losses: [0.5, 1e-7], milliseconds: 4, processor: 8 };
const peer = (losses: number[], more: object = {}) => ({
  schema: 'whet-peer/1' as const,
  engine: 'beads',
  version: '1',
  machine,
  results: [{ ...task, losses, milliseconds: [2], processor: [2] }],
  ...more,
});

it('losses agree to four digits, and near 0 as far as float32 goes', () => {
  expect(comparePeer(own, peer([0.50004, 1.1e-7]))).toMatchObject({
    kind: 'same',
    ratios: { milliseconds: 2, processor: 4 },
  });
  expect(comparePeer(own, peer([0.5001, 1e-7]))).toMatchObject({ kind: 'other losses', at: 0 });
  expect(comparePeer(own, peer([0.5, 1e-5]))).toMatchObject({ kind: 'other losses', at: 1 });
});

it('says nothing of engines where threads are not known, or others', () => {
  const unknown = { ...own, machine: { ...machine, threads: undefined } };
  expect(comparePeer(unknown, peer([0.5, 1e-7]))?.kind).toBe('threads not known');
  expect(comparePeer(own, peer([0.5, 1e-7], { machine: { ...machine, threads: 1 } }))?.kind).toBe('another machine');
});
