import { t } from '../messages/index.js';
import { addAll } from './examples.js';
import { nameProblem } from './model.js';
import { here } from './profiles.js';
import { opened, say, sayBeside } from './signals.js';
import { readFiles } from './stage.js';

/** Adds a folder in which folders of pictures name the classes. */
export async function addFolder(files: readonly File[]): Promise<void> {
  const nameOf = (file: File) => file.webkitRelativePath.split('/').at(-2) as string;
  const pictures = files.filter((file) => {
    const [, ...below] = file.webkitRelativePath.split('/');
    return below.length > 0 && !below.some((name) => name.startsWith('.'));
  });
  for (const name of new Set(pictures.map(nameOf))) {
    const problem = nameProblem(name);
    if (problem) return say('problem', `${name}: ${problem}`);
  }
  // What is read goes to the profile that it was chosen for, whichever is shown by then.
  const at = here();
  const { read, problem } = await readFiles(pictures);
  if (opened.value?.digest !== at.bundle) return;
  if (read.length === 0) return say('problem', t().folderEmpty);
  const byName = new Map<string, Uint8Array[]>();
  for (const { file, pixels } of read) byName.set(nameOf(file), [...(byName.get(nameOf(file)) ?? []), pixels]);
  await addAll(
    [...byName].map(([name, pixels]) => ({ name, pixels })),
    at,
  );
  if (problem) sayBeside(problem);
}
