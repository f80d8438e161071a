import { Problem } from '../problems.js';

/** The refusal of a body over the limit. */
export function tooLarge(bodyBytes: number, got: string): Problem {
  return new Problem('too-large', 'body', `expected at most ${bodyBytes} bytes, got ${got}`);
}
