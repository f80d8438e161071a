export interface WorkOptions {
  /** Images that are predicted together at most; 1 turns batching off. */
  readonly batchImages: number;
  /** Milliseconds that a prediction waits for others at most, while none runs. */
  readonly batchWaitMs: number;
  /** Images that wait to be predicted at most. */
  readonly predictQueue: number;
  /** Adaptations that run at the same time. */
  readonly adaptThreads: number;
  /** Adaptations that wait at most. */
  readonly adaptQueue: number;
  /** Milliseconds an adaptation takes at most, from the end of its request to its result. */
  readonly adaptDeadlineMs: number;
  /** The same of predictions. */
  readonly predictDeadlineMs: number;
}

export const defaultWork: WorkOptions = {
  batchImages: 32,
  batchWaitMs: 0,
  predictQueue: 4096,
  adaptThreads: 1,
  adaptQueue: 32,
  adaptDeadlineMs: 60_000,
  predictDeadlineMs: 30_000,
};
