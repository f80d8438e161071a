/** What becomes of the rate from step to step. */
export const scheduleNames = ['constant', 'cosine'] as const;

export type ScheduleName = (typeof scheduleNames)[number];

/**
 * By what the rate of a step is multiplied, of `steps`, counted from 1: `cosine` begins with all of it and ends small (Loshchilov &
 * Hutter 2017, without restarts).
 */
export function scheduled(schedule: ScheduleName, step: number, steps: number): number {
  return schedule === 'cosine' ? (1 + Math.cos((Math.PI * (step - 1)) / steps)) / 2 : 1;
}
