import type { InferenceSession } from 'onnxruntime-common';

/** Weights beside a model, as onnxruntime takes them. */
export function externalDataOption(weights: ReadonlyMap<string, Uint8Array> | undefined): {
  externalData?: { path: string; data: Uint8Array }[];
} {
  return weights?.size ? { externalData: Array.from(weights, ([path, data]) => ({ path, data })) } : {};
}

/** Where a bundle's files come from and what runs its graphs: the one thing that differs between Node.js and the web. */
export interface BundleSource {
  /** The bundle's folder or address, for messages. */
  readonly location: string;
  /** Whether its sessions run ONNX's `Loop`, so that several steps are one run; false when absent. */
  readonly loops?: boolean;
  /** The model of a graph that runs on many images at once, as it runs fastest on this machine; as it stands when absent. */
  readonly tune?: (model: Uint8Array) => Promise<Uint8Array>;
  /** Reads a file of the bundle by its path, past all caches where `fresh` is set; throws a BundleError naming it where it is missing. */
  read(path: string, fresh?: boolean): Promise<Uint8Array>;
  /** A session of a model whose weights stand in these files, by the names that it gives them. One that is `small` is run in less time by one thread than by several. */
  createSession(
    model: Uint8Array,
    weights?: ReadonlyMap<string, Uint8Array>,
    small?: boolean,
  ): Promise<InferenceSession>;
}
