import { BundleError } from '../errors.js';

/** Reads a file of a bundle by its path in the bundle's folder, e.g. `sparse.step.onnx`; past all caches where `fresh` is set. */
export type ReadFile = (path: string, fresh?: boolean) => Promise<Uint8Array>;

/** How far a bundle's download is. */
export interface DownloadProgress {
  /** The file that last came closer. */
  readonly file: string;
  /** Bytes that came so far, of all files that were asked for. */
  readonly loaded: number;
  /** Bytes of these files, by the manifest. */
  readonly total: number;
}

export interface FetchOptions {
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told the address of each file that came, as to keep it for a visit without a network. */
  readonly onFetched?: ((address: string) => void) | undefined;
}

/**
 * Fetches files from an address. Files of a manifest are asked for with their digest (`step.onnx?sha256=...`), so that no cache
 * gives an older bundle's. Throws {@link BundleError} naming the file where the server does not have it or the
 * network fails, and the signal's reason where it aborts.
 */
export function fetchFrom(address: string | URL, { onProgress, onFetched, signal }: FetchOptions = {}): ReadFile {
  const base = String(address).replace(/\/*$/, '/');
  let [loaded, total] = [0, 0];
  let files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string } | undefined>> = {};
  return async (file, fresh = false) => {
    const known = files[file];
    total += known?.bytes ?? 0;
    const failed = (got: string, cause?: unknown) => {
      signal?.throwIfAborted();
      return new BundleError(`${base}${file}: expected the file, got ${got}`, { cause });
    };
    try {
      const address = base + file + (known ? `?sha256=${known.sha256}` : '');
      const response = await fetch(address, { ...(signal ? { signal } : {}), ...(fresh ? { cache: 'reload' } : {}) });
      if (!response.ok) throw failed(`HTTP ${response.status} ${response.statusText}`);
      const told = (length: number) => {
        if (!known) return;
        loaded += length;
        onProgress?.({ file, loaded, total });
      };
      const bytes = await bytesOf(response, told);
      onFetched?.(address);
      if (file === 'manifest.json') files = filesIn(bytes);
      return bytes;
    } catch (cause) {
      if (cause instanceof BundleError) throw cause;
      throw failed((cause as Error).message, cause);
    }
  };
}

/** The bytes of an answer; told how many as they come. */
async function bytesOf(response: Response, told: (length: number) => void): Promise<Uint8Array> {
  // React Native gives an answer as a whole.
  if (!response.body) {
    const bytes = new Uint8Array(await response.arrayBuffer());
    told(bytes.length);
    return bytes;
  }
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const reader = response.body.getReader();
  while (true) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
    parts.push(value);
    told(value.byteLength);
  }
}

/** What a manifest says of its files. Whether it is one is checked where it is used. */
function filesIn(manifest: Uint8Array): Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>> {
  try {
    return (JSON.parse(new TextDecoder().decode(manifest)) as { files?: Record<string, never> }).files ?? {};
  } catch {
    return {};
  }
}
