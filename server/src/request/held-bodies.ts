import { Problem } from '../problems.js';

/** A body that is held, from its first byte until the request needs it no more. */
export interface HeldBody {
  /** Counts bytes that have come. Where that is too much, the body of somebody is refused, perhaps this one. */
  add(bytes: number): void;
  /** It is whole: it is not refused any more. */
  end(): void;
  /** Its bytes are let go. */
  free(): void;
}

interface Held {
  readonly owner: string;
  readonly refuse: (problem: Problem) => void;
  bytes: number;
  reading: boolean;
}

/**
 * Bounds the bytes of all bodies that are held at once. Over it, whoever holds the most has their largest body refused of those that
 * still come: small bodies get through, however many large ones there are.
 */
export class HeldBodies {
  readonly #held = new Set<Held>();
  #bytes = 0;

  constructor(private readonly maxBytes: number) {}

  /** `refuse` is called at most once, and not after `end` or `free`. */
  begin(owner: string, refuse: (problem: Problem) => void): HeldBody {
    const held: Held = { owner, refuse, bytes: 0, reading: true };
    this.#held.add(held);
    return {
      add: (bytes) => {
        if (!this.#held.has(held)) return;
        held.bytes += bytes;
        this.#bytes += bytes;
        while (this.#bytes > this.maxBytes && this.#refuseLargest());
      },
      end: () => {
        held.reading = false;
      },
      free: () => this.#free(held),
    };
  }

  #free(held: Held): void {
    if (this.#held.delete(held)) this.#bytes -= held.bytes;
  }

  #refuseLargest(): boolean {
    const sums = new Map<string, number>();
    for (const { owner, bytes } of this.#held) sums.set(owner, (sums.get(owner) ?? 0) + bytes);
    const reading = [...this.#held].filter((held) => held.reading);
    const [largest] = reading.sort((a, b) => (sums.get(b.owner) ?? 0) - (sums.get(a.owner) ?? 0) || b.bytes - a.bytes);
    if (!largest) return false;
    this.#free(largest);
    const detail = `expected at most ${this.maxBytes} bytes of bodies at once, got more`;
    largest.refuse(new Problem('busy', 'body', detail, { 'Retry-After': '1' }));
    return true;
  }
}
