/** Bytes of a body that are read before others have their turn. */
const TURN_BYTES = 256 * 1024;

/**
 * Lets long bodies come by turns, one piece of one of them in each round of the event loop: however many clients pour, whoever asks for
 * little waits for one piece.
 */
export class Pace {
  readonly #waiting: (() => void)[] = [];

  /** A body's own: to be told of the bytes that came; what it resolves is the body's next turn, undefined where that is now. */
  ofBody(): (bytes: number) => Promise<void> | undefined {
    let read = 0;
    return (bytes) => {
      read += bytes;
      if (read < TURN_BYTES) return undefined;
      read = 0;
      return new Promise((resolve) => {
        this.#waiting.push(resolve);
        if (this.#waiting.length === 1) setImmediate(this.#next);
      });
    };
  }

  readonly #next = (): void => {
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) setImmediate(this.#next);
  };
}
