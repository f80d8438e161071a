import { labelsProblem } from '@whet/runtime/format';
import { t } from '../messages/index.js';
import type { KnownProfile, RefusedProfile } from '../workers/compute.js';
import { ask } from './engine.js';
import { type ClassOf, newPerson, picturesOf, withPictures } from './model.js';
import { insertSaying } from './profiles.js';
import { readLink } from './share.js';
import { bundleName, bundles, messageOf, opened, PlainError, say } from './signals.js';

// Files and links that somebody opens: what was learned, or a whole project. Each becomes a project of its own.

/** What is in a profile of this model; throws where it is damaged or of another one. */
export async function inspectProfile(bytes: Uint8Array): Promise<KnownProfile> {
  const found = await ask<KnownProfile | RefusedProfile>((compute) => compute.inspect(bytes));
  if ('problem' in found) throw new PlainError(t().profileProblem[found.problem], { cause: found.detail });
  return found;
}

/** Shows a profile of this model as a project; throws where it is damaged or of another model. */
async function openProfile(bytes: Uint8Array, name: string): Promise<void> {
  const { digest, manifest } = opened.value ?? {};
  const { pattern, classes: names, examples } = await inspectProfile(bytes);
  if (digest === undefined || opened.value?.digest !== digest) return;
  const problem = labelsProblem(names);
  if (problem) throw new PlainError(t().fileNames, { cause: problem });
  const imported = newPerson(digest, name, pattern);
  const found = names.reduce<ClassOf[]>((all, label) => withPictures(all, label, []), []);
  const own = new Set(manifest?.labels);
  const classes = found
    .map((one, i) => ({ ...one, elsewhere: examples[i] ?? 0 }))
    .filter((one) => one.elsewhere > 0 || !own.has(one.name));
  const whole = { ...imported, bytes, extra: { ...imported.extra, classes } };
  await insertSaying(whole, t().openedProfile(name, names.length));
}

async function openProject(bytes: Uint8Array): Promise<void> {
  const { readProject } = await import('./project.js');
  const { manifest, digest } = opened.value ?? {};
  if (!manifest || digest === undefined) return;
  const person = await readProject(bytes, manifest, digest);
  await insertSaying(person, t().openedProject(person.name, picturesOf(person.extra.classes)));
}

/** Whether a file is a zip, as projects are. */
const isZip = (bytes: Uint8Array) => bytes[0] === 0x50 && bytes[1] === 0x4b;

/** Says why a file or a link is not opened: in plain words where they are known. */
function notOpened(name: string, cause: unknown): void {
  const [why, told] = cause instanceof PlainError ? [cause.message, cause.cause] : [t().profileProblem.damaged, cause];
  say('problem', t().notOpened(name, why), undefined, told === undefined ? '' : messageOf(told));
}

/** Opens a file that was saved here or elsewhere. */
export async function openFile(file: File): Promise<void> {
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (isZip(bytes)) await openProject(bytes);
    else await openProfile(bytes, file.name.replace(/\.[^.]*$/, '') || t().sharedName);
  } catch (cause) {
    notOpened(file.name, cause);
  }
}

/** Opens what a link brings, in the model that it is for. */
export async function openShared(open: (bundle: string) => Promise<void>): Promise<void> {
  if (!location.hash.includes('profile=')) return;
  try {
    const { model, name, profile } = await readLink(location.hash);
    if (!bundles.value.includes(model)) throw new PlainError(t().linkFor(model));
    // The model is opened first, and comes back here.
    if (model !== bundleName.value) return await open(model);
    await openProfile(profile, name);
  } catch (cause) {
    notOpened(t().sharedLink, cause);
  }
  // Opened once: a reload would open it again.
  history.replaceState(null, '', location.pathname + location.search);
}
