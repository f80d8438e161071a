// A module of its own, so that a bundler takes no more of the package than this, and loads it only where it is needed.
export { sha256 } from '@noble/hashes/sha2.js';
