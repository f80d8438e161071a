import { computed, signal } from '@preact/signals';
import { movePictures, removePictures } from './examples.js';
import { classes } from './signals.js';

const picked = signal<ReadonlySet<string>>(new Set());

/** Pictures that are chosen, by their ids; of those that are there. */
export const chosen = computed((): ReadonlySet<string> => {
  const there = classes.value.flatMap(({ pictures }) => pictures.map(({ id }) => id));
  return new Set(there.filter((id) => picked.value.has(id)));
});

/** Chooses a picture, or does no longer. */
export function toggle(id: string): void {
  const next = new Set(chosen.value);
  if (!next.delete(id)) next.add(id);
  picked.value = next;
}

export function chooseNone(): void {
  picked.value = new Set();
}

/** What is meant by a picture: all that are chosen, where it is one of them. */
export const meantBy = (id: string): ReadonlySet<string> => (chosen.value.has(id) ? chosen.value : new Set([id]));

export async function removeChosen(ids: ReadonlySet<string> = chosen.value): Promise<void> {
  await removePictures(ids);
  // Taken back, they are not chosen any more.
  chooseNone();
}

export async function moveChosen(classId: string, ids: ReadonlySet<string> = chosen.value): Promise<void> {
  await movePictures(ids, classId);
  chooseNone();
}
