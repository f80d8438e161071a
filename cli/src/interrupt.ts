export interface Interruptible {
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Signals end the process again. */
  stop(): void;
}

/**
 * Until it is stopped, the first SIGINT or SIGTERM lets a command come to an end by itself; a second one ends the process.
 * It listens after the first too: write-file-atomic ends a process that nobody else listens for, in the middle of a write.
 */
export function interruptible(): Interruptible {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) => {
    if (!controller.signal.aborted) return controller.abort();
    stop();
    process.kill(process.pid, name);
  };
  const stop = () => void process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  return { signal: controller.signal, stop };
}
