import { createHash } from 'node:crypto';
import { BundleError, type Manifest } from '@whet/runtime';
import { parseManifest } from '@whet/runtime/format';
import { openBundleFiles } from '@whet/runtime/node';

/** The bytes where they are those that a manifest lists; throws {@link BundleError} with both digests where not. */
export function checkDigest(file: string, bytes: Uint8Array, expected: string | undefined): Uint8Array {
  const actual = createHash('sha256').update(bytes).digest('hex');
  if (actual === expected) return bytes;
  throw new BundleError(`${file}: SHA-256: expected ${expected}, got ${actual}`);
}

/**
 * The manifest and all files that it lists, itself included, of a bundle in a folder or one `.whet` file. Throws
 * {@link BundleError} naming the file that does not fit.
 */
export async function readBundle(place: string): Promise<{ manifest: Manifest; contents: Map<string, Uint8Array> }> {
  const read = openBundleFiles(place);
  const text = await read('manifest.json');
  const manifest = parseManifest(new TextDecoder().decode(text), place);
  const contents = new Map([['manifest.json', text]]);
  for (const [path, { sha256 }] of Object.entries(manifest.files)) {
    contents.set(path, checkDigest(`${place}/${path}`, await read(path), sha256));
  }
  return { manifest, contents };
}
