import { signal } from '@preact/signals';
import { t } from '../messages/index.js';
import { say } from './signals.js';

interface Done {
  readonly text: string;
  readonly undo: () => unknown;
}

/** Steps that are kept, to be taken back. */
const MOST = 100;

/** What was done and can be taken back, the last one last. */
export const history = signal<readonly Done[]>([]);

/** Says what was done, and keeps how it is taken back. */
export function did(text: string, undo: () => unknown): void {
  const done = { text, undo };
  history.value = [...history.value, done].slice(-MOST);
  say('done', text, { label: t().undo, run: () => takeBack(done) });
}

/** Takes the last thing back that was done. */
export async function undoLast(): Promise<void> {
  const last = history.value.at(-1);
  if (last) await takeBack(last);
}

async function takeBack(done: Done): Promise<void> {
  if (!history.value.includes(done)) return;
  history.value = history.value.filter((one) => one !== done);
  await done.undo();
  say('done', t().undone);
}

/** What belongs to another model cannot be taken back in this one. */
export function forgetHistory(): void {
  history.value = [];
}
