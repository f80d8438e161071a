import { signal } from '@preact/signals';
import { t } from '../messages/index.js';
import { startCamera, stopCamera } from './camera.js';
import { addPictures } from './examples.js';
import { readPicture, showPicture } from './looking.js';
import { here } from './profiles.js';
import { type Notice, notice, type PictureSource, query, say, sayBeside, source } from './signals.js';

/** Counts up when the drawing pad is to be cleared. */
export const clears = signal(0);
/** Whether the camera looks at ink on paper, of which a model of drawings sees the ink alone. */
export const inkOnPaper = signal(true);

/** Shows nothing: what was drawn or chosen is gone. */
function clearStage(): void {
  clears.value += 1;
  void showPicture();
}

/** Takes pictures from somewhere else. The camera is on while it is looked at, and no longer. */
export function chooseSource(next: PictureSource): void {
  if (next === source.value) return;
  source.value = next;
  if (next !== 'camera') stopCamera();
  clearStage();
}

/** Takes pictures from the camera, which is switched on. */
export async function chooseCamera(): Promise<void> {
  chooseSource('camera');
  await startCamera();
}

/** Adds the picture that is shown, which was drawn or chosen, to a class. */
export async function addShown(classId: string): Promise<void> {
  const now = query.value;
  if (!now) return say('problem', t().nothingToAdd);
  if (await addPictures(classId, [now.pixels])) clearStage();
}

/** Pictures that are read of files, and which of them: shown while it goes on. */
export const reading = signal<readonly [done: number, all: number] | undefined>(undefined);

export interface ReadFiles {
  readonly read: readonly { readonly file: File; readonly pixels: Uint8Array }[];
  /** What was said of those that are no pictures. */
  readonly problem?: Notice;
}

/** Reads files; says which are no pictures. */
export async function readFiles(files: readonly File[]): Promise<ReadFiles> {
  const at = here();
  const read: { file: File; pixels: Uint8Array }[] = [];
  const refused: string[] = [];
  let problem: Notice | undefined;
  for (const [i, file] of files.entries()) {
    reading.value = [i, files.length];
    const pixels = await readPicture(file, {}, file.name, at);
    if (pixels) read.push({ file, pixels });
    else {
      refused.push(file.name);
      problem = notice.value;
    }
  }
  reading.value = undefined;
  if (refused.length > 1) {
    say('problem', t().filesRefused(refused.length, refused.join(', ')));
    problem = notice.value;
  }
  return { read, ...(problem?.kind === 'problem' ? { problem } : {}) };
}

/** Adds files to a class of the profile that they were chosen for, whichever is shown by then. */
export async function uploadTo(classId: string, files: readonly File[]): Promise<void> {
  const at = here();
  const { read, problem } = await readFiles(files);
  if (read.length === 0) return;
  await addPictures(
    classId,
    read.map(({ pixels }) => pixels),
    at,
  );
  if (problem) sayBeside(problem);
}
