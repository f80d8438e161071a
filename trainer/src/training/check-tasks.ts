import { checkShape } from '../data/draw.js';
import type { CountedClasses } from '../data/image-folders.js';
import { type RunConfig, trainsOnValidation } from './config.js';

/**
 * Throws `DataError` where the classes, of which none was read yet, do not fill the tasks of a run, with what would do: an option of `whet train`, or a key
 * of its settings.
 */
export function checkTasks(config: RunConfig, { name, splits }: CountedClasses): void {
  const { ways, shots, queries, rotations, validation } = config;
  const trained = trainsOnValidation(config) ? [...splits.train, ...splits.validation] : splits.train;
  const most = Math.max(...shots);
  checkShape(`${name}, train`, trained, trained.length * (rotations ? 4 : 1), { ways, shots: most, queries });
  const keyOf = (key: 'ways' | 'shots' | 'queries') => `validation.${key}`;
  checkShape(`${name}, validation`, splits.validation, splits.validation.length, validation, keyOf);
}
