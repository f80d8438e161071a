import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import writeFileAtomic from 'write-file-atomic';

/** A metrics file: JSON lines, each with the outer step it was measured at. */
export interface MetricsFile {
  append(record: { readonly step: number } & Readonly<Record<string, unknown>>): Promise<void>;
  /** Drops the lines of later steps, from a run that went on past this one. */
  goBack(step: number): Promise<void>;
}

/** Opens a metrics file at an outer step; lines of later steps are dropped. */
export async function openMetrics(path: string, fromStep: number): Promise<MetricsFile> {
  await mkdir(dirname(path), { recursive: true });
  await dropAfter(path, fromStep);
  return {
    append: (record) => appendFile(path, `${JSON.stringify(record)}\n`),
    goBack: (step) => dropAfter(path, step),
  };
}

async function dropAfter(path: string, step: number): Promise<void> {
  const before = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    // Anything else, such as a file that may not be read, must not end in its being replaced.
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const kept = before.split('\n').filter((line) => line !== '' && stepOf(line) <= step);
  await writeFileAtomic(path, kept.map((line) => `${line}\n`).join(''));
}

function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as { step: number }).step;
  } catch {
    // A line cut short by a crash belongs to no step that a checkpoint has.
    return Number.POSITIVE_INFINITY;
  }
}
