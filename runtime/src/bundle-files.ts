import { BundleError } from './errors.js';
import type { Manifest, PatternManifest } from './manifest.js';
import type { BundleSource } from './source.js';

// What a bundle is before it runs: which patterns are asked for, which files these need, and whether they are what the manifest says.

/** Bytes that no other thread has: a copy of those in shared memory, which many functions refuse. */
export function unshared(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}

/** SHA-256 of bytes, wherever it is asked for. */
export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  const { subtle } = (globalThis.crypto ?? {}) as { readonly subtle?: SubtleCrypto };
  // Browsers leave it out of pages over plain HTTP, such as those of a machine in the same house; React Native has none.
  if (!subtle) return (await import('./sha256.js')).sha256(bytes);
  return new Uint8Array(await subtle.digest('SHA-256', unshared(bytes)));
}

const hex = (digest: Uint8Array): string => Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The patterns that are to be loaded. Throws {@link BundleError} naming one that the bundle has not got. */
export function chosenPatterns(
  manifest: Manifest,
  location: string,
  asked: readonly string[] | ((manifest: Manifest) => readonly string[]) | undefined,
): [string, PatternManifest][] {
  const { patterns } = manifest;
  const names = typeof asked === 'function' ? asked(manifest) : (asked ?? Object.keys(patterns));
  return names.map((name) => {
    const pattern = Object.hasOwn(patterns, name) ? patterns[name] : undefined;
    if (pattern) return [name, pattern];
    const known = Object.keys(patterns).join(', ');
    throw new BundleError(`${location}: pattern: expected one of ${known}, got "${name.slice(0, 100)}"`);
  });
}

/** Reads files of a bundle, together, and checks their digests; a file that does not fit is read once more, past caches that may keep it. */
export async function readChecked(
  source: Pick<BundleSource, 'location' | 'read'>,
  names: readonly string[],
  { files }: Manifest,
): Promise<Map<string, Uint8Array>> {
  const read = async (name: string): Promise<[string, Uint8Array]> => {
    const expected = files[name]?.sha256;
    let actual = '';
    for (const fresh of [false, true]) {
      const bytes = await source.read(name, fresh);
      actual = hex(await sha256(bytes));
      if (actual === expected) return [name, bytes];
    }
    throw new BundleError(`${source.location}/${name}: SHA-256: expected ${expected}, got ${actual}`);
  };
  return new Map(await Promise.all(names.map(read)));
}

/** SHA-256 of what decides predictions: every file but measurements and texts. */
export async function digestOf(manifest: Manifest): Promise<string> {
  const { labels } = manifest;
  const identity = [
    ...Object.entries(manifest.files).map(([name, file]) => `${name} ${file.sha256}`),
    ...Object.entries(manifest.patterns).map(
      ([name, { graphs, values }]) => `${name} ${JSON.stringify([graphs, values])}`,
    ),
  ].sort();
  const form = [manifest.schema, manifest.head, manifest.normalization, JSON.stringify(manifest.preprocessing)];
  form.push(manifest.weights);
  if (labels) form.push(JSON.stringify(labels));
  return hex(await sha256(new TextEncoder().encode([...form, ...identity].join('\n'))));
}
