import type { Manifest } from './manifest.js';

/** Of a class in the header: a name of 256 bytes, each escaped twice, and its count. */
const CLASS_BYTES = 4 * 256 + 32;
/** Of a tensor in the header: dtype, shape and offsets, and its name's escapes. */
const TENSOR_BYTES = 256;
/** Of the rest of a header: its own names, a digest, the pattern's name. */
const REST_BYTES = 4096;

/** The most bytes that a profile of any of a bundle's patterns has, and of them those of its header. */
export function profileSize({ limits, featureLength, patterns }: Manifest): {
  readonly bytes: number;
  readonly headerBytes: number;
} {
  const { maxClasses, maxExamples } = limits;
  // Twice: with what tells pictures of other classes.
  const head = 2 * maxClasses * (featureLength + 1);
  const sizes = Object.values(patterns).map(({ moving, features, normalizations = [] }) => {
    const values = moving.reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0);
    const moments = normalizations.reduce((sum, { channels }) => sum + 2 * channels, 0);
    const names = [...moving, ...normalizations, ...normalizations].map(({ name }) => TENSOR_BYTES + 2 * name.length);
    // Twice, as a packed value has scales beside it, and one that did not move a name.
    // Of each that it remembers, a byte a feature, a scale for 64 of them, and its class.
    const memory = maxExamples * (features.reduce((product, dim) => product * dim, 1) + 8);
    return {
      values: 4 * (values + moments + head) + Math.ceil(memory * (1 + 4 / 64)),
      names: 2 * names.reduce((sum, length) => sum + length, 0),
    };
  });
  const most = (name: 'values' | 'names') => Math.max(...sizes.map((size) => size[name]));
  const headerBytes = REST_BYTES + 7 * TENSOR_BYTES + most('names') + maxClasses * CLASS_BYTES;
  return { bytes: 8 + headerBytes + most('values'), headerBytes };
}
