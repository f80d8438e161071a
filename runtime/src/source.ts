import type { InferenceSession } from 'onnxruntime-common';

/** Where a bundle's files come from and what runs its graphs: the one thing that differs between Node.js and the web. */
export interface BundleSource {
  /** The bundle's folder or address, for messages. */
  readonly location: string;
  /** Reads a file of the bundle by its path, past all caches where `fresh` is set; throws a BundleError naming it where it is missing. */
  read(path: string, fresh?: boolean): Promise<Uint8Array>;
  createSession(model: Uint8Array): Promise<InferenceSession>;
}
