/** Milliseconds. */
export interface Timeouts {
  /** From a connection's first byte to the end of a request's head. */
  readonly headMs: number;
  /** From there to the end of its body. */
  readonly bodyMs: number;
  /** That a connection is kept without a request. */
  readonly idleMs: number;
  /** That a service which is to end goes on taking requests, not being ready any more, so that a load balancer sees it. */
  readonly drainDelayMs: number;
  /** That requests under way have to finish after that. */
  readonly drainMs: number;
}

export const defaultTimeouts: Timeouts = {
  headMs: 10_000,
  bodyMs: 60_000,
  idleMs: 65_000,
  drainDelayMs: 0,
  drainMs: 10_000,
};
