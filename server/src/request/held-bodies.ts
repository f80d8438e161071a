import { Problem } from '../problems.js';

/** A body that is held, from its first byte until the request needs it no more. */
export interface HeldBody {
  /** Counts bytes that have come. Where that is too much, the body of somebody is refused, perhaps this one. */
  add(bytes: number): void;
  /** It is whole: it is not refused any more, unless it grows. */
  end(): void;
  /** Counts what a whole body has grown by, as by decompression. Throws {@link Problem} `busy` where that is too much and it is to give way. */
  grow(bytes: number): void;
  /** Its bytes are let go. */
  free(): void;
}

export interface HeldLimits {
  /** Of all bodies. */
  readonly bytes: number;
  /** Of one owner's, so that there is room for others however long theirs are held; one body alone may have more. */
  readonly ownerBytes: number;
}

interface Held {
  readonly owner: string;
  refuse: (problem: Problem) => void;
  bytes: number;
  reading: boolean;
}

/** Bytes up to which a body is never refused: there is always room for a prediction. */
const SMALL_BYTES = 64 * 1024;

/**
 * Bounds the bytes of all bodies that are held at once, and of each owner's. Over it, whoever holds the most has their largest body
 * refused of those that still come; small ones get through, whatever others hold.
 */
export class HeldBodies {
  readonly #held = new Set<Held>();
  #bytes = 0;

  constructor(
    private readonly limits: HeldLimits,
    private readonly smallBytes = SMALL_BYTES,
  ) {}

  /** `refuse` is called at most once, and not after `end` or `free`. */
  begin(owner: string, refuse: (problem: Problem) => void): HeldBody {
    const held: Held = { owner, refuse, bytes: 0, reading: true };
    this.#held.add(held);
    return {
      add: (bytes) => this.#add(held, bytes),
      end: () => {
        held.reading = false;
      },
      grow: (bytes) => {
        let refused: Problem | undefined;
        held.refuse = (problem) => {
          refused = problem;
        };
        held.reading = true;
        this.#add(held, bytes);
        held.reading = false;
        if (refused) throw refused;
      },
      free: () => this.#free(held),
    };
  }

  #add(held: Held, bytes: number): void {
    if (!this.#held.has(held)) return;
    held.bytes += bytes;
    this.#bytes += bytes;
    const { bytes: most, ownerBytes } = this.limits;
    const isLarge = (each: Held) => each.bytes > this.smallBytes;
    const ofOwner = () => [...this.#held].filter((each) => each.owner === held.owner && isLarge(each));
    if (this.#bytes > ownerBytes) {
      for (let own = ofOwner(); own.length > 1 && sumOf(own) > ownerBytes; own = ofOwner()) {
        if (!this.#refuseLargest(own, `${ownerBytes} bytes of bodies of one client`)) break;
      }
    }
    while (this.#bytes > most && this.#refuseLargest([...this.#held].filter(isLarge), `${most} bytes of bodies`));
  }

  #free(held: Held): void {
    if (this.#held.delete(held)) this.#bytes -= held.bytes;
  }

  #refuseLargest(from: readonly Held[], most: string): boolean {
    const sums = new Map<string, number>();
    for (const { owner, bytes } of this.#held) sums.set(owner, (sums.get(owner) ?? 0) + bytes);
    const reading = from.filter((held) => held.reading);
    const [largest] = reading.sort((a, b) => (sums.get(b.owner) ?? 0) - (sums.get(a.owner) ?? 0) || b.bytes - a.bytes);
    if (!largest) return false;
    this.#free(largest);
    const detail = `expected at most ${most} at once, got more`;
    largest.refuse(new Problem('busy', 'body', detail, { 'Retry-After': '1' }));
    return true;
  }
}

const sumOf = (bodies: readonly Held[]) => bodies.reduce((sum, { bytes }) => sum + bytes, 0);
