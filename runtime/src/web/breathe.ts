import type { InferenceSession } from 'onnxruntime-common';

/** Milliseconds of computing after which waiting events get their turn. */
const SLICE_MS = 8;

let last = 0;

/** Resolves in a new task, after messages and timers that wait. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/**
 * The same session, which waits for a new task before a run when some milliseconds went by since the last one. WebAssembly
 * computes inside the call, and its promises resolve without leaving the task: without this, no message would be heard
 * before the last step.
 */
export function breathe(session: InferenceSession): InferenceSession {
  const run = async (feeds: InferenceSession.FeedsType) => {
    if (performance.now() - last > SLICE_MS) {
      await nextTask();
      last = performance.now();
    }
    return session.run(feeds);
  };
  return sessionOf(session, run, () => session.release());
}

/** A session that runs and is released in another way than `like`, whose names it has. */
export function sessionOf(
  { inputNames, outputNames, inputMetadata, outputMetadata }: InferenceSession,
  run: (feeds: InferenceSession.FeedsType) => Promise<InferenceSession.ReturnType>,
  release: () => Promise<void>,
): InferenceSession {
  const names = { inputNames, outputNames, inputMetadata, outputMetadata };
  return { ...names, run, release, startProfiling() {}, endProfiling() {} } as InferenceSession;
}
