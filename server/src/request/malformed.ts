import { Problem } from '../problems.js';

/** The refusal of a body that is no JSON. */
export function malformed(got: string): Problem {
  return new Problem('malformed-request', 'body', `expected JSON in UTF-8, got ${got}`);
}
