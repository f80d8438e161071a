import type { Limits } from '../limits.js';
import type { HeldBodies } from './held-bodies.js';
import type { Pace } from './pace.js';

export interface BodyOptions {
  readonly limits: Limits;
  /** All bodies that are held now. */
  readonly held: HeldBodies;
  readonly pace: Pace;
}
