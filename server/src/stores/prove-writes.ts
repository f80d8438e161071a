import { StoreUnavailableError } from './contract.js';

/** Milliseconds that an answer to whether writes are kept is good for: whoever may ask cannot make the disk busy. */
const KEPT_MS = 1000;

/** Whether a store takes writes at this time. */
export interface WriteProof {
  /** Runs a write of so many bytes, and remembers those of a refused one. */
  watch<T>(bytes: number, write: () => Promise<T>): Promise<T>;
  /** Writes, unless it was tried a moment ago. Rejects with what `attempt` rejects with. */
  check(): Promise<void>;
}

/** `attempt` tries a write that needs as much room as these bytes do, and leaves nothing of it. */
export function proveWrites(attempt: (bytes: number) => Promise<void>): WriteProof {
  /** The largest write that was refused since one as large was possible: a smaller one proves nothing. */
  let refused = 0;
  let tried: { readonly at: number; readonly outcome: Promise<void> } | undefined;
  let trying = false;
  const check = async () => {
    const bytes = refused;
    trying = true;
    try {
      await attempt(bytes);
    } finally {
      trying = false;
    }
    if (refused === bytes) refused = 0;
  };
  return {
    async watch(bytes, write) {
      try {
        return await write();
      } catch (error) {
        if (error instanceof StoreUnavailableError) {
          refused = Math.max(refused, bytes);
          tried = undefined;
        }
        throw error;
      }
    },
    check() {
      const at = performance.now();
      if (!tried || (!trying && at - tried.at > KEPT_MS)) tried = { at, outcome: check() };
      return tried.outcome;
    },
  };
}
