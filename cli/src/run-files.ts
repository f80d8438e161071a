import { join } from 'node:path';
import type { WentBack } from '@whet/trainer';

/** The checkpoints in the folder of a run. */
export const checkpointsIn = (run: string) => ({
  last: join(run, 'last.safetensors'),
  best: join(run, 'best.safetensors'),
  good: join(run, 'good.safetensors'),
});

/** What a run says that goes on from an earlier step. */
export const describeWayBack = ({ cause, step, halved }: WentBack): string =>
  `note: ${cause}; the outer rates are halved (1/${2 ** halved} of the settings'), and the run goes on from step ${step}`;
