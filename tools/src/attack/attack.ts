import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { AttackTarget, TargetOptions } from './target.js';

/** Something that a service is done to by a stranger. */
export interface Attack {
  readonly name: string;
  /** What is sent, in a few words. */
  readonly what: string;
  /** Clients that do it at the same time. */
  readonly clients: number;
  /** Statuses that it may get; 0 is a connection that ended. */
  readonly statuses: readonly number[];
  readonly auth?: TargetOptions['auth'];
  /** What one client does again and again: gives back the status. Made once, so that what it sends is. */
  prepare(target: AttackTarget): Promise<(signal: AbortSignal, count: number) => Promise<number>>;
}

/** How often each status came. */
export type Statuses = Readonly<Record<number, number>>;

/** Attacks for so many milliseconds, or until the first answer where that takes longer. */
export async function attackFor(attack: Attack, target: AttackTarget, milliseconds: number): Promise<Statuses> {
  const once = await attack.prepare(target);
  const end = new AbortController();
  const over = end.signal;
  setMaxListeners(0, over);
  const statuses: Record<number, number> = {};
  const until = performance.now() + milliseconds;
  const endWhenDue = () => {
    if (performance.now() >= until && Object.keys(statuses).length > 0) end.abort();
  };
  const timer = setInterval(endWhenDue, 10);
  let count = 0;
  const client = async () => {
    while (!over.aborted) {
      const status = await once(over, count++);
      if (over.aborted) return;
      statuses[status] = (statuses[status] ?? 0) + 1;
      // Who is hung up on does not come back in the same moment.
      if (status === 0) await pause(10);
    }
  };
  try {
    await Promise.all(Array.from({ length: attack.clients }, client));
  } finally {
    clearInterval(timer);
  }
  return statuses;
}

/** Statuses that an attack should not get. */
export const unexpected = ({ statuses }: Attack, got: Statuses): number[] =>
  Object.keys(got)
    .map(Number)
    .filter((status) => !statuses.includes(status));
