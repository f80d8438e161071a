/** A black-and-white image: `ink[y * width + x]` is 1 where there is ink. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly ink: Uint8Array;
}

/**
 * Returns the strokes' centre lines, one pixel wide, with side branches shorter than `shortestBranch` pixels removed.
 * The outermost pixels of `mask` must be free of ink.
 *
 * Source: Zhang and Suen, "A fast parallel algorithm for thinning digital patterns" (1984), but each pixel is tested
 * again when it is taken away, because the parallel original erases small blobs such as the dot of an "!".
 */
export function thin(mask: Mask, shortestBranch: number): Mask {
  const { width, height } = mask;
  const ink = Uint8Array.from(mask.ink);
  const around = [-width, -width + 1, 1, width + 1, width, width - 1, -1, -width - 1];
  const isRemovable = (at: number): boolean => {
    const { count, runs } = describeNeighbours(ink, at, around);
    return count >= 2 && count <= 6 && runs === 1;
  };

  let left = [...ink.keys()].filter((at) => ink[at] === 1);
  for (let changed = true; changed; ) {
    changed = false;
    for (const pass of [0, 1]) {
      const marked = left.filter((at) => {
        const [north, east, south, west] = [ink[at - width], ink[at + 1], ink[at + width], ink[at - 1]];
        if (north && east && south && west) return false;
        const keep = pass === 0 ? east && south && (north || west) : north && west && (east || south);
        return !keep && isRemovable(at);
      });
      for (const at of marked) {
        if (!isRemovable(at)) continue;
        ink[at] = 0;
        changed = true;
      }
      left = left.filter((at) => ink[at] === 1);
    }
  }
  thinCorners(ink, around);
  prune(ink, around, shortestBranch);
  return { width, height, ink };
}

/** Returns how many neighbours are ink, and into how many runs they fall on the way round. */
function describeNeighbours(ink: Uint8Array, at: number, around: readonly number[]): { count: number; runs: number } {
  let count = 0;
  let runs = 0;
  let before = ink[at + (around[around.length - 1] ?? 0)];
  for (const step of around) {
    const here = ink[at + step];
    if (here === 1) {
      count++;
      if (before === 0) runs++;
    }
    before = here;
  }
  return { count, runs };
}

// Zhang and Suen leave staircases two pixels thick, whose pixels would all look like junctions to `prune`.
function thinCorners(ink: Uint8Array, around: readonly number[]): void {
  const [north = 0, , east = 0, , south = 0, , west = 0] = around;
  for (let at = 0; at < ink.length; at++) {
    if (ink[at] === 0) continue;
    for (const [one, other] of [
      [north, east],
      [east, south],
      [south, west],
      [west, north],
    ] as const) {
      const isCorner = ink[at + one] === 1 && ink[at + other] === 1 && ink[at - one - other] === 0;
      if (isCorner && ink[at - one] === 0 && ink[at - other] === 0) {
        ink[at] = 0;
        break;
      }
    }
  }
}

function prune(ink: Uint8Array, around: readonly number[], shortestBranch: number): void {
  for (let at = 0; at < ink.length; at++) {
    if (ink[at] === 0 || describeNeighbours(ink, at, around).count !== 1) continue;
    const branch = [at];
    let end: 'junction' | 'end' | undefined;
    while (end === undefined && branch.length <= shortestBranch) {
      const here = branch[branch.length - 1] ?? at;
      const next = around.map((step) => here + step).filter((n) => ink[n] === 1 && !branch.includes(n));
      const [only] = next;
      if (only === undefined) end = 'end';
      else if (next.length > 1) end = 'junction';
      else branch.push(only);
    }
    if (end !== 'junction') continue;
    // The last pixel touches two others: it stays, for it may hold them together.
    for (const pixel of branch.slice(0, -1)) ink[pixel] = 0;
  }
}
