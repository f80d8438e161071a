import { checkShape, checkStages } from '../data/draw.js';
import type { CountedClasses } from '../data/image-folders.js';
import { type RunConfig, trainsOnValidation } from './config.js';
import { trainingShapes, validationShape } from './task-shapes.js';

/**
 * Throws `DataError` where the classes, of which none was read yet, do not fill the tasks of a run, with what would do: an option of `whet train`, or a key
 * of its settings.
 */
export function checkTasks(config: RunConfig, { name, splits }: CountedClasses): void {
  const trained = trainsOnValidation(config) ? [...splits.train, ...splits.validation] : splits.train;
  const count = trained.length * (config.rotations ? 4 : 1);
  const train = `${name}, train`;
  const shapes = trainingShapes(config);
  const options = { stages: '--stream', ways: '--ways' };
  for (const { ways, stages } of shapes) checkStages(train, count, { stages, ways: ways / stages }, options);
  const most = (key: 'ways' | 'shots' | 'queries') => Math.max(...shapes.map((shape) => shape[key]));
  checkShape(train, trained, count, { ways: most('ways'), shots: most('shots'), queries: most('queries') });

  const validation = `${name}, validation`;
  const asked = validationShape(config);
  const stages = { stages: asked.stages, ways: asked.ways / asked.stages };
  checkStages(validation, splits.validation.length, stages, {
    stages: 'validation.stages',
    ways: 'validation.ways',
  });
  const keyOf = (key: 'ways' | 'shots' | 'queries') => `validation.${key}`;
  checkShape(validation, splits.validation, splits.validation.length, asked, keyOf);
}
