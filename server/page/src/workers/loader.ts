import demo from 'virtual:demo-url';
import pageScript from '@whet/runtime/html-script.js?url';
import { type DownloadProgress, fetchFrom, type ReadFile } from '@whet/runtime/web';
import * as Comlink from 'comlink';
import gpuWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import wasmWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import { type AboutBundle, aboutBundle, BUNDLE_LIST, bundlesIn, filesIn } from '../shared/bundle-list.js';

// The only part of the page that may open connections. It asks for files of its own lists and for nothing else: the built files below,
// the bundles that the host lists, and the files of their manifests. So nothing that others tell it can leave as an address.
// Its script stands in the folder `assets/` of the page.
const base = new URL(/* @vite-ignore */ '..', import.meta.url);

const assets: ReadonlySet<string> = new Set(
  [gpuWasm, wasmWasm, pageScript, demo].map((url) => new URL(url, import.meta.url).href),
);

const MANIFEST = 'manifest.json';

interface Source {
  readonly read: ReadFile;
  /** Files that the manifest has, once it was read. */
  files: ReadonlySet<string>;
}

const sources = new Map<string, Source>();
/** Bundles that the host lists. */
let listed: Promise<readonly string[]> | undefined;
/** Addresses of what was fetched: what a visit without a network needs. */
const fetched = new Set<string>();

async function get(path: string, cache?: RequestCache): Promise<Response> {
  const url = new URL(path, base);
  const response = await fetch(url, cache ? { cache } : {});
  if (!response.ok) throw new Error(`${url}: expected the file, got HTTP ${response.status} ${response.statusText}`);
  fetched.add(url.href);
  return response;
}

function notListed(expected: string, got: unknown): Error {
  return new Error(`expected ${expected}, got ${String(got).slice(0, 100)}`);
}

/** What a manifest holds; whether it is one is told by who asked for it. */
function manifestOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

const loader = {
  async bundles(): Promise<readonly string[]> {
    const reading = get(BUNDLE_LIST, 'no-cache').then(async (response) => bundlesIn(await response.json()));
    listed = reading;
    reading.catch(() => {
      // Whoever asks next asks the host anew.
      if (listed === reading) listed = undefined;
    });
    return reading;
  },
  /** What the manifest of a bundle says of it; undefined where there is none. */
  async about(bundle: string): Promise<AboutBundle | undefined> {
    if (!(await (listed ?? loader.bundles())).includes(bundle)) throw notListed('a bundle that the host lists', bundle);
    const response = await get(`bundles/${bundle}/${MANIFEST}`, 'no-cache');
    return aboutBundle(await response.json().catch(() => undefined));
  },
  /** Reads a file of a bundle, with progress over all files of it that were asked for. */
  async readBundleFile(
    bundle: string,
    path: string,
    onProgress?: (progress: DownloadProgress) => void,
    fresh = false,
  ): Promise<Uint8Array> {
    if (!(await (listed ?? loader.bundles())).includes(bundle)) throw notListed('a bundle that the host lists', bundle);
    const source = sources.get(bundle) ?? {
      read: fetchFrom(new URL(`bundles/${bundle}`, base), { onProgress, onFetched: (url) => fetched.add(url) }),
      files: new Set(),
    };
    sources.set(bundle, source);
    if (path !== MANIFEST && !source.files.has(path))
      throw notListed(`a file that the manifest of ${bundle} has`, path);
    const bytes = await source.read(path, fresh);
    if (path === MANIFEST) source.files = new Set(filesIn(manifestOf(bytes)).keys());
    return Comlink.transfer(bytes, [bytes.buffer]);
  },
  /** A file of onnxruntime-web, or the example pictures: what the build put beside the page. */
  async readAsset(url: string): Promise<ArrayBuffer> {
    if (!assets.has(url)) throw notListed('a file of this page', url);
    const buffer = await (await get(url)).arrayBuffer();
    return Comlink.transfer(buffer, [buffer]);
  },
  /** The addresses of all that was fetched. */
  fetched: (): readonly string[] => [...fetched],
  /** Starts a bundle's progress anew, and forgets what caches hold of it. */
  async forget(bundle: string): Promise<void> {
    sources.delete(bundle);
    listed = undefined;
    // There are none over plain HTTP.
    if (!('caches' in self)) return;
    for (const name of await caches.keys()) {
      const cache = await caches.open(name);
      for (const request of await cache.keys()) {
        if (request.url.startsWith(new URL(`bundles/${bundle}/`, base).href)) await cache.delete(request);
      }
    }
  },
};

export type Loader = typeof loader;

addEventListener('message', ({ data, ports }: MessageEvent) => {
  // Workers of this page that compute ask for files through a port of their own.
  if ((data as { kind?: string } | null)?.kind === 'port') for (const port of ports) Comlink.expose(loader, port);
});
Comlink.expose(loader);
