import { Problem, show } from '../problems.js';

/**
 * Refuses what cannot name a class. A label is kept exactly as it is sent, so it has to survive UTF-8 and a terminal.
 *
 * @throws {Problem} `invalid-input`
 */
export function checkLabel(label: string, field: string, maxBytes: number): void {
  const bytes = Buffer.byteLength(label);
  const expected = `expected a label of 1 to ${maxBytes} bytes of UTF-8 without control characters`;
  let got: string | undefined;
  if (label.trim() === '') got = bytes === 0 ? 'an empty one' : 'nothing but space';
  else if (bytes > maxBytes) got = `${bytes} bytes`;
  else if (/\p{Cc}/u.test(label)) got = show(label);
  // A lone surrogate becomes U+FFFD on the way to disk, and in a form stray bytes have become it: two classes would be one.
  else if (/\p{Surrogate}|\ufffd/u.test(label)) got = 'what is not UTF-8';
  if (got !== undefined) throw new Problem('invalid-input', field, `${expected}, got ${got}`);
}
