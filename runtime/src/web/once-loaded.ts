/**
 * Loads what a worker does, and only then hands it the messages that came meanwhile. A worker's own script should hold nothing else: what is
 * loaded later imports what it shares with the worker, and in WebKit an import of a worker's own script runs it again, as another module.
 * Where it cannot be loaded, whoever made the worker hears of an error, as of one whose script is missing.
 */
export function onceLoaded(load: () => Promise<unknown>): void {
  const early: MessageEvent[] = [];
  const keep = (event: MessageEvent) => void early.push(event);
  addEventListener('message', keep);
  load().then(
    () => {
      removeEventListener('message', keep);
      for (const { data, ports } of early) dispatchEvent(new MessageEvent('message', { data, ports: [...ports] }));
    },
    (cause: unknown) => {
      // A rejection would stay in the worker.
      setTimeout(() => {
        throw cause;
      });
    },
  );
}
