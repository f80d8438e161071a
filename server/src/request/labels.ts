import { labelProblem } from '@whet/runtime/format';
import { Problem } from '../problems.js';

/**
 * Refuses what cannot name a class.
 *
 * @throws {Problem} `invalid-input`
 */
export function checkLabel(label: string, field: string, maxBytes: number): void {
  const problem = labelProblem(label, maxBytes);
  if (problem !== undefined) throw new Problem('invalid-input', field, problem);
}
