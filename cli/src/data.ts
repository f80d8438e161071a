import type { Dataset } from '@whet/trainer';
import { startProgress } from './progress.js';

/** Omniglot from a folder, with a progress bar while its drawings are decoded for the first time. */
export async function loadData(directory: string, size: number): Promise<Dataset> {
  const { loadOmniglot } = await import('@whet/trainer');
  let progress: ReturnType<typeof startProgress> | undefined;
  const onProgress = (done: number, total: number) => {
    progress ??= startProgress('decode', total);
    progress.update(done, 'drawings, once');
  };
  try {
    return await loadOmniglot(directory, { size, onProgress });
  } finally {
    progress?.stop();
  }
}
