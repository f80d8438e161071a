import { ask } from '../state/engine.js';
import type { Person } from '../state/model.js';
import { exportFile } from '../state/profiles.js';
import { isAbort, messageOf, say } from '../state/signals.js';

function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Saves a profile as a file. */
export function download(person: Person): void {
  const exported = exportFile(person);
  if (!exported) return;
  save(exported.blob, exported.name);
  say('done', `Exported "${person.name}". Its pictures are not in the file.`);
}

/** Saves a profile and its model as one ONNX file, which needs nothing of this page. */
export async function downloadModel(person: Person): Promise<void> {
  const { bytes, name } = person;
  const exported = exportFile(person);
  if (!bytes || !exported) return;
  try {
    const model = await ask((compute) => compute.freeze(bytes));
    save(new Blob([model as Uint8Array<ArrayBuffer>]), exported.name.replace(/\.[^.]+$/, '.onnx'));
    say('done', `Exported "${name}" as a model that any ONNX runtime runs. Your pictures are not in the file.`);
  } catch (cause) {
    if (!isAbort(cause)) say('problem', `"${name}" cannot be exported as a model: ${messageOf(cause)}`);
  }
}
