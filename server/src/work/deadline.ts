import { Problem } from '../problems.js';

export interface Deadline {
  /** When the time began, by `performance.now()`. */
  readonly began: number;
  readonly milliseconds: number;
  /** What is there by then. */
  readonly expected: string;
}

/** Works until the client goes away or the time is over: rejects with the client's signal's reason, or {@link Problem} `deadline`. */
export async function within<T>(
  client: AbortSignal,
  { began, milliseconds, expected }: Deadline,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = AbortSignal.timeout(Math.max(0, Math.ceil(began + milliseconds - performance.now())));
  try {
    return await work(AbortSignal.any([client, deadline]));
  } catch (error) {
    client.throwIfAborted();
    if (!deadline.aborted) throw error;
    const detail = `expected ${expected} within ${milliseconds} ms, got none; ask for less at once, or try later`;
    throw new Problem('deadline', 'request', detail, { 'Retry-After': '10' });
  }
}
