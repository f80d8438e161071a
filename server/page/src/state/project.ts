import { labelsProblem } from '@whet/runtime/format';
import type { Manifest } from '@whet/runtime/web';
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate';
import { t } from '../messages/index.js';
import { type ClassOf, newClass, newPerson, type Person, pictureForm, picturesFrom } from './model.js';
import { patternChoices } from './patterns.js';
import { fromPng, toPng } from './png.js';
import { bundleName, PlainError } from './signals.js';

// A project as one file: a zip of folders of pictures, as the model sees them, and of what belongs to them.

const FORMAT = 'whet-project/1';
const ABOUT = 'project.json';
/** Bytes that a file in it has at most: no picture that a model sees has more. */
const MOST_BYTES = 4_000_000;

interface AboutClass {
  readonly name: string;
  readonly isBackground?: boolean;
  /** Paths in the file. */
  readonly pictures: readonly string[];
}

interface About {
  readonly format: string;
  readonly name: string;
  readonly model: string;
  /** Of the pictures: {@link pictureForm}. */
  readonly form: string;
  readonly pattern: string;
  readonly classes: readonly AboutClass[];
}

/** A project with its pictures, as a file. */
export async function writeProject(person: Person, { preprocessing }: Manifest): Promise<Uint8Array> {
  const { name, extra } = person;
  const files: Record<string, Uint8Array> = {};
  const classes: AboutClass[] = [];
  for (const [i, { name: called, isBackground, pictures }] of extra.classes.entries()) {
    const folder = `pictures/${i + 1}-${called.replace(/[^\p{L}\p{N}._-]+/gu, '-').slice(0, 40)}`;
    const paths = pictures.map((_, k) => `${folder}/${k + 1}.png`);
    for (const [k, { pixels }] of pictures.entries()) files[paths[k] as string] = await toPng(pixels, preprocessing);
    classes.push({ name: called, ...(isBackground ? { isBackground } : {}), pictures: paths });
  }
  const form = pictureForm(preprocessing);
  const about: About = { format: FORMAT, name, model: bundleName.value, form, pattern: extra.pattern, classes };
  files[ABOUT] = strToU8(JSON.stringify(about, null, 2));
  // Pictures are compressed already.
  return zipSync(files, { level: 0 });
}

/** What a file says of its project; throws where it says nothing that this page knows. */
function aboutOf(files: Readonly<Record<string, Uint8Array>>): About {
  const text = files[ABOUT];
  if (!text) throw new PlainError(t().profileProblem.damaged, { cause: `expected a ${ABOUT} in it, got none` });
  const about = JSON.parse(strFromU8(text)) as Partial<About> | null;
  if (about?.format !== FORMAT) {
    const format = String(about?.format).slice(0, 40);
    const problem = /^whet-project\/\d+$/.test(format) ? 'newer' : 'damaged';
    throw new PlainError(t().profileProblem[problem], { cause: `expected the format ${FORMAT}, got ${format}` });
  }
  const { name, model, form, pattern, classes } = about;
  const isWhole =
    [name, model, form, pattern].every((field) => typeof field === 'string') &&
    Array.isArray(classes) &&
    classes.every((one) => typeof one?.name === 'string' && Array.isArray(one.pictures));
  if (!isWhole)
    throw new PlainError(t().projectDamaged, {
      cause: `${ABOUT}: expected classes with names and pictures, got others`,
    });
  return about as About;
}

/** A project as a file has it, with the pictures of a model; throws where they are another's, or the file is damaged. */
export async function readProject(bytes: Uint8Array, manifest: Manifest, digest: string): Promise<Person> {
  const files = unzipSync(bytes, { filter: ({ originalSize }) => originalSize <= MOST_BYTES });
  const about = aboutOf(files);
  const { preprocessing } = manifest;
  if (about.form !== pictureForm(preprocessing)) {
    throw new PlainError(t().projectModel(about.model.slice(0, 80)));
  }
  const problem = labelsProblem(about.classes.map(({ name }) => name));
  if (problem) throw new PlainError(t().fileNames, { cause: problem });
  const classes: ClassOf[] = [];
  for (const { name, isBackground, pictures } of about.classes) {
    const pixels: Uint8Array[] = [];
    for (const path of pictures) {
      const file = files[path];
      if (!file)
        throw new PlainError(t().projectDamaged, { cause: `expected ${String(path).slice(0, 100)} in it, got none` });
      pixels.push(await fromPng(file, preprocessing));
    }
    classes.push({ ...newClass(name, picturesFrom(pixels)), ...(isBackground ? { isBackground } : {}) });
  }
  const { names, preset } = patternChoices(manifest);
  return newPerson(digest, about.name.slice(0, 80), names.includes(about.pattern) ? about.pattern : preset, classes);
}
