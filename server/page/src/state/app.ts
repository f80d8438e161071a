import { computed, signal } from '@preact/signals';
import { type BackendChoice, findAdapter, openProfileStore, type ProfileStore } from '@whet/runtime/web';
import * as Comlink from 'comlink';
import type { LabelledPixels, Opened, PatternResult, PictureOptions, PredictedImage } from '../workers/compute.js';
import { ComputeClient, LoaderClient, measureChoice } from './compute-client.js';
import { adaptProblem, type ClassOf, type Extra, newPerson, type Person, picturesOf, withPictures } from './model.js';

export type BackendSetting = 'auto' | 'wasm' | 'webgpu';

export type Phase =
  | { readonly kind: 'loading'; readonly loaded: number; readonly total: number }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly message: string };

export interface Query {
  /** Counts pictures. */
  readonly id: number;
  readonly pixels: Uint8Array;
  readonly prediction?: PredictedImage;
}

export interface Adapting {
  readonly step: number;
  readonly steps: number;
  readonly losses: readonly number[];
}

/** A message for people; `problem` stays until it is closed. */
export interface Notice {
  readonly kind: 'done' | 'problem';
  readonly text: string;
}

const state = {
  phase: signal<Phase>({ kind: 'loading', loaded: 0, total: 0 }),
  opened: signal<Opened | undefined>(undefined),
  bundles: signal<readonly string[]>([]),
  bundleName: signal(''),
  choice: signal<BackendChoice | undefined>(undefined),
  backend: signal<BackendSetting>('auto'),
  people: signal<readonly Person[]>([]),
  personId: signal(''),
  query: signal<Query | undefined>(undefined),
  adapting: signal<Adapting | undefined>(undefined),
  comparing: signal(false),
  compared: signal<readonly PatternResult[]>([]),
  notice: signal<Notice | undefined>(undefined),
  memoryOnly: signal<string | undefined>(undefined),
};

export const { phase, opened, bundles, bundleName, choice, backend, people, personId } = state;
export const { query, adapting, comparing, compared, notice, memoryOnly } = state;

export const person = computed(() => people.value.find(({ id }) => id === personId.value));
export const classes = computed(() => person.value?.extra.classes ?? []);
/** What keeps from adapting; undefined where nothing does. */
export const missing = computed(() => {
  const manifest = opened.value?.manifest;
  return manifest && adaptProblem(classes.value, manifest.limits, manifest.labels?.length ?? 0);
});

let loader: LoaderClient | undefined;
let client: ComputeClient | undefined;
let store: ProfileStore<Extra> | undefined;
let running: Promise<unknown> = Promise.resolve();
let queries = 0;

/** ms that good news stays; a problem stays until it is closed. */
const NEWS_MS = 6000;

export function say(kind: Notice['kind'], text: string): void {
  const now: Notice = { kind, text };
  notice.value = now;
  if (kind === 'done') {
    setTimeout(() => {
      if (notice.value === now) notice.value = undefined;
    }, NEWS_MS);
  }
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
const isAbort = (cause: unknown): boolean => (cause as { name?: string } | null)?.name === 'AbortError';

const memory = {
  get: (key: string) => store?.getSetting(key) ?? Promise.resolve(undefined),
  set: async (key: string, value: unknown) => store?.setSetting(key, value),
};

/** Opens the device's profiles and the first bundle. Called once. */
export async function start(): Promise<void> {
  try {
    store = await openProfileStore<Extra>({
      onProblem: (reason) => {
        memoryOnly.value = reason;
      },
    });
    memoryOnly.value = store.problem;
    backend.value = ((await store.getSetting('backend')) as BackendSetting | undefined) ?? 'auto';
    loader = new LoaderClient();
    bundles.value = await loader.remote.bundles();
    const wanted = (await store.getSetting('bundle')) as string | undefined;
    const name = wanted !== undefined && bundles.value.includes(wanted) ? wanted : bundles.value[0];
    if (name === undefined) throw new Error('expected a bundle beside the page, got none');
    await openBundle(name);
  } catch (cause) {
    phase.value = { kind: 'failed', message: messageOf(cause) };
  }
}

/** Which backend to open with: what was chosen, or what was measured before, or WebAssembly. */
async function backendFor(name: string): Promise<'wasm' | 'webgpu'> {
  if (backend.value !== 'auto') return backend.value;
  const measured = (await memory.get(`measured ${name}`)) as BackendChoice | undefined;
  return measured?.backend ?? 'wasm';
}

/** `?measure` in the address, for timing: every adaptation encodes all examples, and nothing is measured after it. */
const isTimed = new URLSearchParams(location.search).has('measure');

/** `?threads=1` in the address: so many threads. */
function wantedThreads(): number | 'auto' {
  const threads = Number(new URLSearchParams(location.search).get('threads'));
  return Number.isInteger(threads) && threads > 0 ? threads : 'auto';
}

async function openWith(name: string, taken: 'wasm' | 'webgpu'): Promise<Opened> {
  client?.close();
  client = new ComputeClient(
    loader as LoaderClient,
    { bundle: name, backend: taken, threads: wantedThreads() },
    {
      onProgress: ({ loaded, total }) => {
        if (phase.value.kind === 'loading') phase.value = { kind: 'loading', loaded, total };
      },
      onLost: (reason) => {
        choice.value = { backend: 'wasm', threads: 1, reason: `WebGPU was lost: ${reason}` };
        say('problem', `WebGPU was lost (${reason}). WebAssembly went on from there.`);
      },
    },
  );
  return client.open();
}

export async function openBundle(name: string): Promise<void> {
  phase.value = { kind: 'loading', loaded: 0, total: 0 };
  [query.value, compared.value] = [undefined, []];
  try {
    const wanted = await backendFor(name);
    let now: Opened;
    try {
      now = await openWith(name, wanted);
    } catch (cause) {
      if (wanted === 'wasm') throw cause;
      now = await openWith(name, 'wasm');
      say('problem', `WebGPU does not work here (${messageOf(cause)}). WebAssembly is used.`);
    }
    [opened.value, choice.value, bundleName.value] = [now, now.choice, name];
    await store?.setSetting('bundle', name);
    people.value = (await store?.list(now.digest)) ?? [];
    const last = (await store?.getSetting(`person ${now.digest}`)) as string | undefined;
    if (people.value.length === 0) await addPerson('My profile');
    else personId.value = (people.value.find(({ id }) => id === last) ?? (people.value[0] as Person)).id;
    phase.value = { kind: 'ready' };
    if (backend.value === 'auto') measureLater(name);
  } catch (cause) {
    if (!isAbort(cause)) phase.value = { kind: 'failed', message: messageOf(cause) };
  }
}

/** Tries again after a failure, without what caches hold of the bundle. */
export async function retry(): Promise<void> {
  const name = bundleName.value || bundles.value[0];
  if (name === undefined) return void location.reload();
  await loader?.remote.forget(name);
  await openBundle(name);
}

/** Once per device and bundle, when the page is idle: which backend is faster. It counts from the next visit on. */
async function measureLater(name: string): Promise<void> {
  const { connection } = navigator as { connection?: { saveData?: boolean } };
  if (!('gpu' in navigator) || connection?.saveData || (await memory.get(`measured ${name}`)) !== undefined) return;
  const idle = globalThis.requestIdleCallback ?? ((work: () => void) => setTimeout(work, 3000));
  idle(async () => {
    try {
      const adapter = await findAdapter();
      // Without a real GPU there is nothing to measure, and nothing to download for it.
      if (!adapter || adapter.software) return;
      const measured = await measureChoice(loader as LoaderClient, name, memory);
      await memory.set(`measured ${name}`, measured);
      if (choice.value?.backend === measured.backend) choice.value = measured;
    } catch (cause) {
      await memory.set(`measured ${name}`, { backend: 'wasm', threads: 1, reason: messageOf(cause) });
    }
  });
}

export async function setBackend(wanted: BackendSetting): Promise<void> {
  backend.value = wanted;
  await store?.setSetting('backend', wanted);
  await openBundle(bundleName.value);
}

// People

async function save(changed: Person): Promise<void> {
  people.value = people.value.map((one) => (one.id === changed.id ? changed : one));
  await store?.put(changed);
}

function update(extra: Partial<Extra>, rest: Partial<Person> = {}): Promise<void> {
  const now = person.value;
  if (!now) return Promise.resolve();
  return save({ ...now, ...rest, changed: new Date().toISOString(), extra: { ...now.extra, ...extra } });
}

export async function addPerson(name: string): Promise<void> {
  const now = opened.value;
  if (!now) return;
  const added = newPerson(now.digest, name, now.manifest.defaultPattern);
  people.value = [...people.value, added];
  await store?.put(added);
  await selectPerson(added.id);
}

export async function selectPerson(id: string): Promise<void> {
  personId.value = id;
  compared.value = [];
  await store?.setSetting(`person ${opened.value?.digest}`, id);
  await predictAgain();
}

export const renamePerson = (name: string): Promise<void> => update({}, { name });

export async function deletePerson(): Promise<void> {
  const gone = person.value;
  if (!gone) return;
  await store?.delete(gone.id);
  people.value = people.value.filter(({ id }) => id !== gone.id);
  if (people.value.length === 0) await addPerson('My profile');
  else await selectPerson((people.value[0] as Person).id);
  say('done', `Deleted "${gone.name}" with its pictures.`);
}

/** The profile as a file that any Whet takes; pictures are not in it. */
export function exportFile(): { name: string; blob: Blob } | undefined {
  const now = person.value;
  if (!now?.bytes) return undefined;
  const name = `${now.name.replace(/[^\p{L}\p{N}._-]+/gu, '-') || 'profile'}.whet-profile`;
  return { name, blob: new Blob([now.bytes as Uint8Array<ArrayBuffer>], { type: 'application/octet-stream' }) };
}

export async function importFile(file: File): Promise<void> {
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (!client) throw new Error('the model is not loaded');
    const { pattern, classes: names, examples } = await client.call((compute) => compute.inspect(bytes));
    const imported = newPerson(opened.value?.digest ?? '', file.name.replace(/\.[^.]*$/, '') || 'Imported', pattern);
    const found = names.reduce<ClassOf[]>((all, name) => withPictures(all, name, []), []);
    const own = new Set(opened.value?.manifest.labels);
    const elsewhere = found
      .map((one, i) => ({ ...one, elsewhere: examples[i] ?? 0 }))
      .filter(({ name, elsewhere: count }) => count > 0 || !own.has(name));
    const whole: Person = { ...imported, bytes, extra: { ...imported.extra, classes: elsewhere } };
    people.value = [...people.value, whole];
    await store?.put(whole);
    await selectPerson(whole.id);
    say('done', `Imported "${whole.name}" with ${names.length} classes.`);
  } catch (cause) {
    say('problem', `${file.name} was not imported: ${messageOf(cause)}`);
  }
}

// Classes and pictures

const setClasses = (changed: readonly ClassOf[]): Promise<void> => update({ classes: changed, stale: true });

export const addPictures = (name: string, pixels: readonly Uint8Array[]): Promise<void> =>
  setClasses(withPictures(classes.value, name.trim(), pixels));

/** Adds pictures of several classes at once. */
export const addAll = (pictures: readonly LabelledPixels[]): Promise<void> =>
  setClasses(
    pictures.reduce<readonly ClassOf[]>((all, { label, pixels }) => withPictures(all, label, [pixels]), classes.value),
  );

export const removePicture = (classId: string, pictureId: string): Promise<void> =>
  setClasses(
    classes.value.map((one) =>
      one.id === classId ? { ...one, pictures: one.pictures.filter(({ id }) => id !== pictureId) } : one,
    ),
  );

export const removeClass = (classId: string): Promise<void> =>
  setClasses(classes.value.filter(({ id }) => id !== classId));

export async function renameClass(classId: string, name: string): Promise<boolean> {
  if (classes.value.some((one) => one.id !== classId && one.name === name.trim())) {
    say('problem', `There is a class "${name.trim()}" already.`);
    return false;
  }
  await setClasses(classes.value.map((one) => (one.id === classId ? { ...one, name: name.trim() } : one)));
  return true;
}

export const setPattern = (pattern: string): Promise<void> =>
  update({ pattern, stale: person.value?.bytes !== undefined });

/** The pixels that the bundle sees of a picture; undefined, with a notice, where it cannot be read. */
export async function readPicture(
  picture: Blob | ImageBitmap,
  options: PictureOptions = {},
  name = 'The picture',
): Promise<Uint8Array | undefined> {
  try {
    const input = picture instanceof Blob ? picture : Comlink.transfer(picture, [picture]);
    return await client?.call((compute) => compute.pixels(input, options));
  } catch (cause) {
    say('problem', `${name}: ${messageOf(cause).replace(/^picture: /, '')}`);
    return undefined;
  }
}

// Computing

export const examplesOf = (): LabelledPixels[] =>
  classes.value.flatMap(({ name, pictures }) =>
    pictures.map(({ id, pixels }) => ({ ...(isTimed ? {} : { id }), label: name, pixels })),
  );

export async function adapt(): Promise<void> {
  const [now, open] = [person.value, opened.value];
  if (!now || !open || !client || missing.value !== undefined || adapting.value) return;
  const { pattern } = now.extra;
  const steps = open.manifest.patterns[pattern]?.steps ?? 0;
  const losses: number[] = [];
  const examples = examplesOf();
  adapting.value = { step: 0, steps, losses };
  notice.value = undefined;
  const onStep = Comlink.proxy((step: number, loss: number) => {
    losses.push(loss);
    if (adapting.value) adapting.value = { step, steps, losses: [...losses] };
  });
  const work = client.call((compute) => compute.adapt(examples, { pattern }, onStep));
  running = work;
  try {
    const result = await work;
    const { encoded, losses: all, milliseconds } = result;
    const last = { pattern, losses: all, ...milliseconds, examples: examples.length, encoded };
    const changed = new Date().toISOString();
    const backendNow = choice.value?.backend ?? 'wasm';
    // The person may have changed names meanwhile: what is stored belongs to the examples that were adapted to.
    const latest = people.value.find(({ id }) => id === now.id);
    if (!latest) return;
    const stale = latest.extra.classes !== now.extra.classes;
    const extra: Extra = { ...latest.extra, stale, last: { ...last, backend: backendNow } };
    await save({ ...latest, bytes: result.bytes, changed, extra });
    say('done', `Adapted to ${examples.length} examples of ${result.classes.length} classes.`);
    void navigator.storage?.persist?.();
  } catch (cause) {
    if (isAbort(cause)) say('done', now.bytes ? 'Cancelled. The profile is as it was.' : 'Cancelled.');
    else say('problem', `Adapting failed: ${messageOf(cause)}`);
    return;
  } finally {
    adapting.value = undefined;
  }
  await predictAgain();
  await measureSpeedUp(now.id, examples);
}

/** What moving everything would have taken, measured once the profile is there. */
async function measureSpeedUp(id: string, examples: readonly LabelledPixels[]): Promise<void> {
  const last = people.value.find((one) => one.id === id)?.extra.last;
  if (!last || !client || comparing.value || isTimed) return;
  const work = client.call((compute) => compute.measureDense(examples, last.losses.length));
  running = work;
  try {
    const dense = await work;
    const latest = people.value.find((one) => one.id === id);
    if (dense === undefined || latest?.extra.last !== last) return;
    await save({ ...latest, extra: { ...latest.extra, last: { ...last, dense } } });
  } catch {
    // Only a figure: cancelled by the next adaptation, or the pattern could not be fetched without a network.
  }
}

export async function cancel(): Promise<void> {
  await client?.cancel(running);
}

export async function setQuery(pixels: Uint8Array | undefined): Promise<void> {
  if (!pixels) {
    queries += 1;
    query.value = undefined;
    return;
  }
  queries += 1;
  const id = queries;
  const prediction = await predict(pixels);
  // A later picture may have been quicker.
  if (id === queries) query.value = { id, pixels, ...(prediction ? { prediction } : {}) };
}

async function predict(pixels: Uint8Array): Promise<PredictedImage | undefined> {
  const bytes = person.value?.bytes;
  if (!bytes || !client) return undefined;
  try {
    return (await client.call((compute) => compute.predict(bytes, [pixels])))[0];
  } catch (cause) {
    if (!isAbort(cause)) say('problem', `Predicting failed: ${messageOf(cause)}`);
    return undefined;
  }
}

const predictAgain = (): Promise<void> => setQuery(query.value?.pixels);

export async function compare(patterns: readonly string[]): Promise<void> {
  if (!client || comparing.value || adapting.value) return;
  comparing.value = true;
  compared.value = [];
  const onResult = Comlink.proxy((result: PatternResult) => {
    compared.value = [...compared.value, result];
  });
  const work = client.call((compute) => compute.compare(examplesOf(), patterns, onResult));
  running = work;
  try {
    await work;
    say('done', `Compared ${patterns.length} patterns on ${picturesOf(classes.value)} examples.`);
  } catch (cause) {
    if (!isAbort(cause)) say('problem', `Comparing failed: ${messageOf(cause)}`);
  } finally {
    comparing.value = false;
  }
}

/** Pictures of characters to start with, drawn with openly licensed handwriting fonts. */
export async function addDemo(url: string): Promise<void> {
  const buffer = await loader?.remote.readAsset(new URL(url, location.href).href);
  if (!buffer) return;
  const demo = JSON.parse(new TextDecoder().decode(buffer)) as Record<string, string[]>;
  const found: LabelledPixels[] = [];
  for (const [label, files] of Object.entries(demo)) {
    for (const file of files) {
      const bytes = Uint8Array.from(atob(file), (character) => character.charCodeAt(0));
      const pixels = await readPicture(new Blob([bytes]));
      if (pixels) found.push({ label, pixels });
    }
  }
  await addAll(found);
}
