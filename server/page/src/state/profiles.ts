import { labelsProblem } from '@whet/runtime/format';
import { type DeviceProfileStore, openProfileStore } from '@whet/runtime/web';
import type { LabelledPixels, Opened } from '../workers/compute.js';
import { ask } from './engine.js';
import {
  type ClassOf,
  carriedOver,
  type Extra,
  isSameName,
  newPerson,
  type Person,
  patternChoices,
  pictureForm,
  reusing,
  sameExamples,
  withPictures,
} from './model.js';
import {
  bundleName,
  bundles,
  classes,
  memoryOnly,
  messageOf,
  opened,
  others,
  people,
  person,
  personId,
  phase,
  say,
} from './signals.js';

// The only part that writes profiles. Another tab may write them too: what is changed is what is stored then, never what was shown.

let store: DeviceProfileStore<Extra> | undefined;

/** A profile as something was begun for it: what comes of that goes there, whichever is shown by then. */
export interface Target {
  readonly id: string;
  /** Digest of the bundle that sees its pictures. */
  readonly bundle: string;
}

/** The profile that is shown. */
export const here = (): Target => ({ id: personId.value, bundle: opened.value?.digest ?? '' });

/** Opens the device's profiles. Called once. */
export async function openDeviceProfiles(): Promise<void> {
  store = await openProfileStore<Extra>({
    onProblem: (reason) => {
      memoryOnly.value = reason;
    },
    onChange: () => {
      if (phase.value.kind === 'ready') void readAgain();
    },
  });
  memoryOnly.value = store.problem;
}

export const deviceSettings = {
  get: (key: string): Promise<unknown> => store?.getSetting(key) ?? Promise.resolve(undefined),
  set: async (key: string, value: unknown): Promise<void> => store?.setSetting(key, value),
};

// What is shown

/** Reads the profiles of the bundle that is open. */
async function readPeople({ digest }: Opened): Promise<void> {
  const all = (await store?.list()) ?? [];
  if (opened.value?.digest !== digest) return;
  const known = new Map(people.value.map((one) => [one.id, one]));
  const own = all.filter(({ bundle }) => bundle === digest).map((one) => reusing(one, known.get(one.id)));
  // Those that are shown stay where they are.
  const order = [...known.keys(), ...own.map(({ id }) => id)];
  people.value = own.sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
  // Those of the page's other models wait there; a row without a model's name is of one that nobody knows any more.
  others.value = all.filter(
    ({ bundle, model }) =>
      bundle !== digest && (model === undefined || model === bundleName.value || !bundles.value.includes(model)),
  );
  if (people.value.length === 0) await addPerson('My profile');
}

/** Shows the profiles of a bundle that was opened, with what an older version of it left. */
export async function showPeople(now: Opened): Promise<void> {
  const { digest, manifest } = now;
  const older = ((await store?.list()) ?? []).filter(
    ({ bundle, model }) => bundle !== digest && model === bundleName.value,
  );
  const carried: Person[] = [];
  for (const { id } of older) {
    const moved = await store?.update(id, (stored) => carriedOver(stored, digest, manifest));
    if (moved) carried.push(moved);
  }
  people.value = [];
  await readPeople(now);
  const last = (await deviceSettings.get(`person ${bundleName.value}`)) as string | undefined;
  personId.value = (people.value.find(({ id }) => id === last) ?? (people.value[0] as Person)).id;
  const lost = carried.filter(({ extra }) => extra.isOlder);
  if (lost.length > 0) {
    const names = lost.map(({ name }) => `"${name}"`).join(', ');
    say('problem', `The model is newer than ${names}: the examples are kept. Adapt again to use them.`);
  }
}

/** What another tab wrote. */
async function readAgain(): Promise<void> {
  const before = person.value;
  if (!opened.value) return;
  await readPeople(opened.value);
  if (!before || person.value) return;
  personId.value = people.value[0]?.id ?? '';
  say('done', `"${before.name}" was deleted in another tab.`);
}

// Writing

/**
 * Changes a profile as it is stored; resolves to it as it is then. Undefined where it is there no more, or belongs to another version
 * of the model by now: nothing is written then.
 */
export async function change(
  { id, bundle }: Target,
  fn: (now: Person) => Person | undefined,
): Promise<Person | undefined> {
  const written = await store?.update(id, (stored) => (stored.bundle === bundle ? fn(stored) : undefined));
  if (!written) return undefined;
  people.value = people.value.map((one) => (one.id === id ? reusing(written, one) : one));
  return written;
}

let writing: Promise<unknown> = Promise.resolve();

/** Resolves when what was asked for until now is written, or failed to be. */
export const settled = (): Promise<unknown> => writing;

const withExtra = (now: Person, extra: Partial<Extra>): Person => ({
  ...now,
  changed: new Date().toISOString(),
  extra: { ...now.extra, ...extra },
});

/** Changes what is asked for now; says so where the profile is gone. */
async function edit(at: Target, fn: (now: Person) => Person): Promise<boolean> {
  const changing = change(at, fn);
  writing = Promise.allSettled([writing, changing]);
  if (await changing) return true;
  const name = people.value.find(({ id }) => id === at.id)?.name;
  await readAgain();
  say('problem', `Nothing was changed: ${name ? `the profile "${name}"` : 'the profile'} is not there any more.`);
  return false;
}

export async function addPerson(name: string): Promise<void> {
  const now = opened.value;
  if (now) await insert(newPerson(now.digest, name, patternChoices(now.manifest).preset));
}

/** Writes a new profile and shows it. */
async function insert(added: Person): Promise<void> {
  const form = opened.value && pictureForm(opened.value.manifest.preprocessing);
  const whole = { ...added, model: bundleName.value, extra: { ...added.extra, ...(form ? { form } : {}) } };
  await store?.put(whole);
  // Not before: what was read meanwhile, because another tab wrote, does not have it yet.
  people.value = [...people.value.filter(({ id }) => id !== whole.id), whole];
  await selectPerson(whole.id);
}

export async function selectPerson(id: string): Promise<void> {
  personId.value = id;
  await deviceSettings.set(`person ${bundleName.value}`, id);
}

export const renamePerson = (name: string): Promise<boolean> =>
  edit(here(), (now) => ({ ...now, name, changed: new Date().toISOString() }));

export async function deletePerson(): Promise<void> {
  const gone = person.value;
  if (!gone) return;
  const left = people.value.filter(({ id }) => id !== gone.id);
  // The new one first: other tabs never see none.
  if (left.length === 0) await addPerson('My profile');
  else await selectPerson((left[0] as Person).id);
  await store?.delete(gone.id);
  // Not before: what was read meanwhile, because another tab wrote, has it still.
  people.value = people.value.filter(({ id }) => id !== gone.id);
  say('done', `Deleted "${gone.name}" with its pictures.`);
}

/** Deletes a profile of a model that is not here any more; it can be taken back for a while. */
export async function deleteOther(gone: Person): Promise<void> {
  await store?.delete(gone.id);
  others.value = others.value.filter(({ id }) => id !== gone.id);
  say('done', `Deleted "${gone.name}" with its pictures.`, async () => {
    await store?.put(gone);
    others.value = [...others.value, gone];
  });
}

/** The profile as a file that any Whet takes; pictures are not in it. */
export function exportFile(now: Person): { name: string; blob: Blob } | undefined {
  if (!now.bytes) return undefined;
  const name = `${now.name.replace(/[^\p{L}\p{N}._-]+/gu, '-') || 'profile'}.whet-profile`;
  return { name, blob: new Blob([now.bytes as Uint8Array<ArrayBuffer>], { type: 'application/octet-stream' }) };
}

export async function importFile(file: File): Promise<void> {
  try {
    const { digest, manifest } = opened.value ?? {};
    const bytes = new Uint8Array(await file.arrayBuffer());
    const { pattern, classes: names, examples } = await ask((compute) => compute.inspect(bytes));
    if (digest === undefined || opened.value?.digest !== digest) return;
    const problem = labelsProblem(names);
    if (problem) throw new Error(problem);
    const imported = newPerson(digest, file.name.replace(/\.[^.]*$/, '') || 'Imported', pattern);
    const found = names.reduce<ClassOf[]>((all, name) => withPictures(all, name, []), []);
    const own = new Set(manifest?.labels);
    const elsewhere = found
      .map((one, i) => ({ ...one, elsewhere: examples[i] ?? 0 }))
      .filter(({ name, elsewhere: count }) => count > 0 || !own.has(name));
    await insert({ ...imported, bytes, extra: { ...imported.extra, classes: elsewhere } });
    say('done', `Imported "${imported.name}" with ${names.length} classes.`);
  } catch (cause) {
    say('problem', `${file.name} was not imported: ${messageOf(cause)}`);
  }
}

// Classes and pictures

type Classes = readonly ClassOf[];

const changeClasses = (at: Target, fn: (now: Classes) => Classes): Promise<boolean> =>
  edit(at, (now) => withExtra(now, { classes: fn(now.extra.classes), stale: true }));

export const addPictures = (name: string, pixels: readonly Uint8Array[], at: Target = here()): Promise<boolean> =>
  changeClasses(at, (now) => withPictures(now, name.trim(), pixels));

/** Adds pictures of several classes at once. */
export const addAll = (pictures: readonly LabelledPixels[], at: Target = here()): Promise<boolean> =>
  changeClasses(at, (now) => pictures.reduce((all, { label, pixels }) => withPictures(all, label, [pixels]), now));

/** Removes what `fn` leaves out; it can be taken back for a while, which also makes the profile as current as it was. */
async function remove(text: string, fn: (now: Classes) => Classes, restore: (now: Classes) => Classes): Promise<void> {
  const at = here();
  const { stale = true, classes: before = [] } = person.value?.extra ?? {};
  if (!(await changeClasses(at, fn))) return;
  say('done', text, () =>
    edit(at, (now) => {
      const restored = restore(now.extra.classes);
      return withExtra(now, { classes: restored, stale: stale || !sameExamples(restored, before) });
    }),
  );
}

const insertedAt = <T>(list: readonly T[], index: number, item: T): T[] => [
  ...list.slice(0, index),
  item,
  ...list.slice(index),
];

export async function removePicture(classId: string, pictureId: string): Promise<void> {
  const from = classes.value.find(({ id }) => id === classId);
  const index = from?.pictures.findIndex(({ id }) => id === pictureId) ?? -1;
  const picture = from?.pictures[index];
  if (!from || !picture) return;
  const inClass = (fn: (now: ClassOf) => ClassOf) => (now: Classes) =>
    now.map((one) => (one.id === classId ? fn(one) : one));
  await remove(
    `Removed an example of "${from.name}".`,
    inClass((one) => ({ ...one, pictures: one.pictures.filter(({ id }) => id !== pictureId) })),
    inClass((one) => ({ ...one, pictures: insertedAt(one.pictures, index, picture) })),
  );
}

export async function removeClass(classId: string): Promise<void> {
  const index = classes.value.findIndex(({ id }) => id === classId);
  const gone = classes.value[index];
  if (!gone) return;
  const count = gone.pictures.length;
  await remove(
    `Removed the class "${gone.name}" with ${count} ${count === 1 ? 'example' : 'examples'}.`,
    (now) => now.filter(({ id }) => id !== classId),
    (now) => {
      // A class of that name may have been made meanwhile.
      const same = now.find(({ name }) => isSameName(name, gone.name));
      if (!same) return insertedAt(now, index, gone);
      return now.map((one) => (one === same ? { ...one, pictures: [...gone.pictures, ...one.pictures] } : one));
    },
  );
}

export async function renameClass(classId: string, name: string): Promise<boolean> {
  if (classes.value.some((one) => one.id !== classId && isSameName(one.name, name.trim()))) {
    say('problem', `There is a class "${name.trim()}" already.`);
    return false;
  }
  return changeClasses(here(), (now) => now.map((one) => (one.id === classId ? { ...one, name: name.trim() } : one)));
}

export const setPattern = (pattern: string): Promise<boolean> =>
  edit(here(), (now) => withExtra(now, { pattern, stale: now.bytes !== undefined }));
