import { t } from '../messages/index.js';
import { ask } from '../state/engine.js';
import { inspectProfile } from '../state/files.js';
import { type Person, picturesOf } from '../state/model.js';
import { isAbort, opened, say, sayProblem } from '../state/signals.js';

function save(contents: Uint8Array | Blob, name: string): void {
  const link = document.createElement('a');
  const type = 'application/octet-stream';
  const file = contents instanceof Blob ? contents : new Blob([contents as Uint8Array<ArrayBuffer>], { type });
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** What a file of a project is called. */
const fileName = ({ name }: Person, ending: string): string =>
  `${name.replace(/[^\p{L}\p{N}._-]+/gu, '-') || 'project'}.${ending}`;

/** Saves what a project has learned, as a file that any Whet takes; pictures are not in it. */
export function saveProfile(person: Person): void {
  if (!person.bytes) return;
  save(person.bytes, fileName(person, 'whet-profile'));
  say('done', t().savedProfile(person.name));
}

/** Saves what a project has learned and its model as one ONNX file, which needs nothing of this page. */
export async function saveOnnx(person: Person): Promise<void> {
  const { bytes, name } = person;
  if (!bytes) return;
  try {
    save(await ask((compute) => compute.freeze(bytes)), fileName(person, 'onnx'));
    say('done', t().savedOnnx(name));
  } catch (cause) {
    if (!isAbort(cause)) sayProblem(t().onnxFailed(name), cause);
  }
}

/** What a project has learned as one HTML file that says what pictures show, in the language of this page. */
export async function makeWebPage({ bytes }: Person): Promise<Blob> {
  if (!bytes) throw new Error(t().learnFirst);
  const { classes } = await inspectProfile(bytes);
  const texts = t().webPage(classes);
  return ask((compute) => compute.webPage(bytes, texts));
}

/** Saves such a file. */
export function saveWebPage(person: Person, file: Blob): void {
  save(file, fileName(person, 'html'));
  say('done', t().savedWebPage(person.name));
}

/** Saves a project with all its pictures. */
export async function saveProject(person: Person): Promise<void> {
  const { manifest } = opened.value ?? {};
  if (!manifest) return;
  const { writeProject } = await import('../state/project.js');
  save(await writeProject(person, manifest), fileName(person, 'whet-project.zip'));
  say('done', t().savedProject(person.name, picturesOf(person.extra.classes)));
}
