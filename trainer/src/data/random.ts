import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';

/** A stream of random numbers. */
export interface Random {
  /** Uniform among 0, 1, ..., n - 1. */
  integer(n: number): number;
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
  /** Puts `array` into a random order, in place, and returns it. */
  shuffle<T>(array: T[]): T[];
  /** `k` distinct numbers of 0, 1, ..., n - 1 in random order. */
  sample(n: number, k: number): number[];
}

/**
 * The random numbers of draw `index` of a named stream. They depend on (seed, stream, index) alone, so a run resumes
 * at any index without replaying those before it, and neighbouring indices are unrelated.
 *
 * @throws {RangeError} where `seed` or `index` is not a safe integer, or an integer, `k` or `n` asked for is out of range.
 */
export function generatorFor(seed: number, stream: string, index: number): Random {
  requireInteger('seed', seed);
  requireInteger('index', index);
  const rng = xoroshiro128plusFromState(mixState(seed, stream, index));
  let spare: number | undefined;

  const integer = (n: number): number => {
    if (!Number.isSafeInteger(n) || n < 1) throw new RangeError(`integer(n): expected n >= 1, got ${n}`);
    return uniformInt(rng, 0, n - 1);
  };
  return {
    integer,
    uniform: () => uniformFloat64(rng),
    // Box and Muller (1958): two uniforms give two normals; the second is kept for the next call.
    normal() {
      if (spare !== undefined) {
        const value = spare;
        spare = undefined;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(rng)));
      const angle = 2 * Math.PI * uniformFloat64(rng);
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
    shuffle<T>(array: T[]): T[] {
      for (let i = array.length - 1; i > 0; i--) {
        const j = integer(i + 1);
        const held = array[i] as T;
        array[i] = array[j] as T;
        array[j] = held;
      }
      return array;
    },
    // Fisher and Yates, stopped after k; only the places that were swapped are kept.
    sample(n: number, k: number): number[] {
      if (!Number.isSafeInteger(k) || k < 0 || k > n) {
        throw new RangeError(`sample(n, k): expected 0 <= k <= n = ${n}, got ${k}`);
      }
      const moved = new Map<number, number>();
      const drawn: number[] = [];
      for (let i = 0; i < k; i++) {
        const j = i + integer(n - i);
        drawn.push(moved.get(j) ?? j);
        moved.set(j, moved.get(i) ?? i);
      }
      return drawn;
    },
  };
}

function requireInteger(name: string, value: number): void {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${name}: expected a safe integer, got ${value}`);
}

/** Four words of state: everything that identifies the draw goes through every word, each from another start. */
function mixState(seed: number, stream: string, index: number): number[] {
  const words = [seed | 0, Math.floor(seed / 2 ** 32), stream.length];
  for (let i = 0; i < stream.length; i++) words.push(stream.charCodeAt(i));
  words.push(index | 0, Math.floor(index / 2 ** 32));
  return [0x9e3779b9, 0x3c6ef372, 0xdaa66d2b, 0x78dde6e4].map((start) => {
    let hash = start;
    for (const word of words) hash = finalize(Math.imul(hash, 0x01000193) ^ word);
    return hash | 0;
  });
}

/** MurmurHash3's 32-bit finaliser (Appleby): every bit of the input flips every bit of the output about half the time. */
function finalize(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
