import type { Limits } from '../limits.js';

export interface BodyOptions {
  readonly limits: Limits;
  /** How many files a form may hold, and images a request of JSON. */
  readonly maxFiles: number;
  /** Looks at a file's field name before the file is read; throws to refuse it. */
  readonly checkName?: (name: string, index: number) => void;
}
