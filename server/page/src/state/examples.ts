import { t } from '../messages/index.js';
import { did } from './history.js';
import {
  type ClassOf,
  freeThingName,
  isBlank,
  isSameName,
  nameProblem,
  newClass,
  type Picture,
  picturesFrom,
  picturesOf,
  withPictures,
} from './model.js';
import { edit, here, type Target, withExtra } from './profiles.js';
import { classes, people, personId, say } from './signals.js';
import { inverse } from './undo.js';

// Classes and their pictures. Each change can be taken back, whatever else was changed by then.

type Classes = readonly ClassOf[];

/** Changes classes as they are stored; says what was done, where there is something to say. Whether it was changed. */
async function changeClasses(
  at: Target,
  fn: (now: Classes) => Classes,
  text?: (before: Classes, after: Classes) => string,
): Promise<boolean> {
  let before: Classes = [];
  let after: Classes = [];
  const changed = await edit(at, (now) => {
    before = now.extra.classes;
    after = fn(before);
    return withExtra(now, { classes: after });
  });
  if (!changed || after === before) return false;
  const undo = inverse(before, after);
  did(text?.(before, after) ?? '', () => edit(at, (now) => withExtra(now, { classes: undo(now.extra.classes) })));
  return true;
}

const nameOf = (all: Classes, classId: string): string => all.find(({ id }) => id === classId)?.name ?? '';

/** Adds pictures to a class. */
export const addPictures = (classId: string, pixels: readonly Uint8Array[], at: Target = here()): Promise<boolean> =>
  changeClasses(
    at,
    (now) =>
      now.map((one) => (one.id === classId ? { ...one, pictures: [...one.pictures, ...picturesFrom(pixels)] } : one)),
    (before) => t().added(pixels.length, nameOf(before, classId)),
  );

export interface NamedPictures {
  readonly name: string;
  readonly pixels: readonly Uint8Array[];
}

/** Adds pictures of several classes, in place of those that nobody has used yet. */
export async function addAll(all: readonly NamedPictures[], at: Target = here()): Promise<boolean> {
  const elsewhere = at.id === personId.value ? '' : (people.value.find(({ id }) => id === at.id)?.name ?? '');
  const count = all.reduce((sum, { pixels }) => sum + pixels.length, 0);
  return changeClasses(
    at,
    (now) =>
      all.reduce<Classes>(
        (found, { name, pixels }) => withPictures(found, name, picturesFrom(pixels)),
        now.filter((one) => !isBlank(one)),
      ),
    () => t().addedMany(count, all.length, elsewhere),
  );
}

/** Adds a class of nothing yet; resolves to its id. */
export async function addClass(isBackground = false): Promise<string> {
  const name = isBackground ? t().backgroundName : freeThingName(classes.value);
  const made = { ...newClass(name), ...(isBackground ? { isBackground } : {}) };
  const known = classes.value.find((one) => isSameName(one.name, name));
  if (known) return known.id;
  await changeClasses(
    here(),
    (now) => [...now, made],
    () => t().addedThing(name),
  );
  return made.id;
}

export async function removeClass(classId: string): Promise<void> {
  await changeClasses(
    here(),
    (now) => now.filter(({ id }) => id !== classId),
    (before) => {
      const gone = before.filter(({ id }) => id === classId);
      return t().removedThing(nameOf(before, classId), picturesOf(gone));
    },
  );
}

export async function renameClass(classId: string, wanted: string): Promise<boolean> {
  const name = wanted.trim();
  const problem = nameProblem(name);
  const isTaken = classes.value.some((one) => one.id !== classId && isSameName(one.name, name));
  if (problem ?? isTaken) {
    say('problem', problem ?? t().nameTaken(name));
    return false;
  }
  return changeClasses(
    here(),
    (now) => now.map((one) => (one.id === classId ? { ...one, name } : one)),
    () => t().renamed(name),
  );
}

/** Pictures that are chosen, out of all classes. */
const chosenOf = (all: Classes, ids: ReadonlySet<string>): Picture[] =>
  all.flatMap(({ pictures }) => pictures.filter(({ id }) => ids.has(id)));

const without = (all: Classes, ids: ReadonlySet<string>): ClassOf[] =>
  all.map((one) => ({ ...one, pictures: one.pictures.filter(({ id }) => !ids.has(id)) }));

export async function removePictures(ids: ReadonlySet<string>): Promise<void> {
  await changeClasses(
    here(),
    (now) => without(now, ids),
    (before) => {
      const from = before.filter(({ pictures }) => pictures.some(({ id }) => ids.has(id)));
      const count = chosenOf(before, ids).length;
      return from.length === 1 ? t().removedPictures(count, from[0]?.name ?? '') : t().removedMany(count);
    },
  );
}

/** Moves pictures to another class. */
export async function movePictures(ids: ReadonlySet<string>, classId: string): Promise<void> {
  await changeClasses(
    here(),
    (now) => {
      const to = now.find(({ id }) => id === classId);
      const staying = new Set(to?.pictures.map(({ id }) => id));
      const moving = new Set([...ids].filter((id) => !staying.has(id)));
      const pictures = chosenOf(now, moving);
      if (!to || pictures.length === 0) return now;
      return without(now, moving).map((one) =>
        one.id === classId ? { ...one, pictures: [...one.pictures, ...pictures] } : one,
      );
    },
    (before, after) => {
      const [was, is] = [before, after].map((all) => all.find(({ id }) => id === classId)?.pictures.length ?? 0);
      return t().moved((is as number) - (was as number), nameOf(after, classId));
    },
  );
}
