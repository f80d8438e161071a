import type { Person } from '../state/model.js';
import { exportFile } from '../state/profiles.js';
import { say } from '../state/signals.js';

/** Saves a profile as a file. */
export function download(person: Person): void {
  const exported = exportFile(person);
  if (!exported) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(exported.blob);
  link.download = exported.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  say('done', `Exported "${person.name}". Its pictures are not in the file.`);
}
