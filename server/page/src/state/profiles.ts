import { type DeviceProfileStore, openProfileStore } from '@whet/runtime/web';
import { t } from '../messages/index.js';
import type { Opened } from '../workers/compute.js';
import { did } from './history.js';
import { carriedOver, type Extra, newClass, newPerson, type Person, pictureForm, reusing } from './model.js';
import { patternChoices } from './patterns.js';
import { bundleName, bundles, memoryOnly, opened, others, people, person, personId, phase, say } from './signals.js';

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
  if (people.value.length === 0) await addPerson(t().firstProject);
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
    say('done', t().reopened(lost.map(({ name }) => name)));
  }
}

/** What another tab wrote. */
async function readAgain(): Promise<void> {
  const before = person.value;
  if (!opened.value) return;
  await readPeople(opened.value);
  if (!before || person.value) return;
  personId.value = people.value[0]?.id ?? '';
  say('done', t().deletedElsewhere(before.name));
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

export const withExtra = (now: Person, extra: Partial<Extra>): Person => ({
  ...now,
  changed: new Date().toISOString(),
  extra: { ...now.extra, ...extra },
});

/** Changes what is asked for now; says so where the profile is gone. */
export async function edit(at: Target, fn: (now: Person) => Person): Promise<boolean> {
  const changing = change(at, fn);
  writing = Promise.allSettled([writing, changing]);
  if (await changing) return true;
  const name = people.value.find(({ id }) => id === at.id)?.name;
  await readAgain();
  say('problem', t().nothingChanged(name ?? ''));
  return false;
}

export async function addPerson(name: string): Promise<void> {
  const now = opened.value;
  if (!now) return;
  const blank = now.manifest.labels ? [] : [1, 2].map((number) => newClass(t().thing(number)));
  await insert(newPerson(now.digest, name, patternChoices(now.manifest).preset, blank));
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

export async function renamePerson(name: string): Promise<void> {
  const at = here();
  const before = person.value?.name ?? name;
  const called = (wanted: string) => edit(at, (now) => ({ ...now, name: wanted, changed: new Date().toISOString() }));
  if (name !== before && (await called(name))) did(t().renamed(name), () => called(before));
}

/** Writes a new profile, shows it and says so. */
export async function insertSaying(added: Person, text: string): Promise<void> {
  await insert(added);
  did(text, () => remove(added.id));
}

export async function deletePerson(): Promise<void> {
  const gone = person.value;
  if (!gone) return;
  await remove(gone.id);
  did(t().deleted(gone.name), () => insert(gone));
}

async function remove(id: string): Promise<void> {
  const left = people.value.filter((one) => one.id !== id);
  // The new one first: other tabs never see none.
  if (left.length === 0) await addPerson(t().firstProject);
  else if (personId.value === id) await selectPerson((left[0] as Person).id);
  await store?.delete(id);
  // Not before: what was read meanwhile, because another tab wrote, has it still.
  people.value = people.value.filter((one) => one.id !== id);
}

/** Deletes a profile of a model that is not here any more. */
export async function deleteOther(gone: Person): Promise<void> {
  await store?.delete(gone.id);
  others.value = others.value.filter(({ id }) => id !== gone.id);
  did(t().deleted(gone.name), async () => {
    await store?.put(gone);
    others.value = [...others.value, gone];
  });
}

export const setPattern = (pattern: string): Promise<boolean> => edit(here(), (now) => withExtra(now, { pattern }));
