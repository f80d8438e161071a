const CONCURRENT = 4;

/** Works on some items at a time. After the first that fails, or an abort, no other is begun; all that were have ended when it rejects. */
export async function inTurns<T>(
  items: readonly T[],
  signal: AbortSignal | undefined,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  let failed = false;
  const turn = async () => {
    for (const item of queue) {
      if (failed) return;
      try {
        signal?.throwIfAborted();
        await work(item);
      } catch (cause) {
        failed = true;
        throw cause;
      }
    }
  };
  const turns = await Promise.allSettled(Array.from({ length: CONCURRENT }, turn));
  for (const each of turns) if (each.status === 'rejected') throw each.reason;
}
