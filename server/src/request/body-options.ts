import type { Limits } from '../limits.js';
import type { HeldBodies } from './held-bodies.js';

export interface BodyOptions {
  readonly limits: Limits;
  /** All bodies that are held now. */
  readonly held: HeldBodies;
}
