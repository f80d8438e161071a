import { MessageChannel } from 'node:worker_threads';

/** A port that is closed: what is handed over to it is let go. */
const nowhere = (() => {
  const { port1, port2 } = new MessageChannel();
  port1.unref();
  port2.close();
  port1.close();
  return port1;
})();

/**
 * Frees bytes that nobody reads any more, at once; they are empty then. Left to the collector, those of bodies that have come and gone stay
 * until some hundred megabytes of them lie about. Bytes that share their memory with others are left alone.
 */
export function discard(all: Iterable<Uint8Array>): void {
  for (const bytes of all) {
    if (bytes.byteLength > 0 && bytes.byteLength === bytes.buffer.byteLength) {
      nowhere.postMessage(undefined, [bytes.buffer as ArrayBuffer]);
    }
  }
}

/** Pieces as one, each freed as soon as it is copied. */
export function joinAndDiscard(pieces: readonly Uint8Array[]): Buffer {
  const whole = Buffer.allocUnsafeSlow(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
    discard([piece]);
  }
  return whole;
}
