/** A run whose loss or gradient is no longer a number, and cannot be made one by lower outer rates. The last checkpoint is intact. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
}

/** How often a run halves its outer rates before it ends. */
const MOST_HALVINGS = 8;

/** What was thrown, where it says that a step diverged; throws anything else. */
export function divergedOnly(error: unknown): DivergedError {
  if (error instanceof DivergedError) return error;
  throw error;
}

/** What changes as a run goes on. */
interface Changing {
  /** Outer steps done. */
  step: number;
  /** How often the outer rates were halved, because steps diverged. */
  halved: number;
  /** Of the best checkpoint, which stays as it is where a run goes back. */
  bestValidation: number | undefined;
}

/** A run that went back. */
export interface WentBack {
  /** What was wrong, and at which step. */
  readonly cause: string;
  /** The step that it goes on from, and how often its outer rates were halved by now. */
  readonly step: number;
  readonly halved: number;
}

/**
 * The last state of a run that is known to be good: one at a validation, from which a step was taken whose loss and gradients are finite. It is made from (state,
 * good) alone, so that a run which is resumed with both goes back as one that was not interrupted.
 */
export class LastGood<T extends Changing> {
  #good: T | undefined;
  #marked: T | undefined;

  constructor(
    private readonly state: T,
    good: T | undefined,
    isAtValidation: boolean,
  ) {
    if (good && good.step < state.step) this.#good = structuredClone(good);
    if (!this.#good || isAtValidation) this.mark();
  }

  get good(): T | undefined {
    return this.#good;
  }

  /** Takes a copy of the state, which is good as soon as a step from it is. */
  mark(): void {
    this.#marked = structuredClone(this.state);
  }

  /** A step was taken, and all its numbers were finite. */
  confirm(): void {
    this.#good = this.#marked ?? this.#good;
    this.#marked = undefined;
  }

  /** Makes the state what it was, but for the best validation, with outer rates of half the size. Throws {@link DivergedError} where it cannot, or did so too often. */
  goBack(cause: DivergedError): WentBack {
    if (!this.#good) throw new DivergedError(`${cause.message}; lower the outer or the inner rate`, { cause });
    const halved = this.state.halved + 1;
    if (halved > MOST_HALVINGS) {
      const message = `${cause.message}; the outer rates were halved ${MOST_HALVINGS} times already`;
      throw new DivergedError(message, { cause });
    }
    const { bestValidation } = this.state;
    copyInto(this.state, this.#good);
    Object.assign(this.state, { halved, bestValidation });
    this.#marked = undefined;
    return { cause: cause.message, step: this.state.step, halved };
  }
}

/** Puts all numbers of a value into the places that they have in another of the same form. */
function copyInto(into: object, from: object): void {
  const source = from instanceof Map ? from : new Map(Object.entries(from));
  const target = into instanceof Map ? into : new Map(Object.entries(into));
  for (const [key, value] of source) {
    const place: unknown = target.get(key);
    if (place instanceof Float32Array) place.set(value as Float32Array);
    else if (typeof place === 'object' && place !== null) copyInto(place, value as object);
    else Object.assign(into, { [key]: value });
  }
}
