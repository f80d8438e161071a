import { type DownloadProgress, fetchFrom, type ReadFile } from '@whet/runtime/web';
import * as Comlink from 'comlink';
import type { BundleList } from '../shared/bundle-list.js';

// The only part of the page that may open connections. It reads files by their names and is never given anything else.
// Its script stands in the folder `assets/` of the page.
const base = new URL(/* @vite-ignore */ '..', import.meta.url);

const isPath = (path: string) => /^[\w.-]+(\/[\w.-]+)*$/.test(path) && !path.split('/').includes('..');

const readers = new Map<string, ReadFile>();
/** Addresses of what was fetched: what a visit without a network needs. */
const fetched = new Set<string>();

async function get(path: string, cache?: RequestCache): Promise<Response> {
  const url = new URL(path, base);
  const response = await fetch(url, cache ? { cache } : {});
  if (!response.ok) throw new Error(`${url}: expected the file, got HTTP ${response.status} ${response.statusText}`);
  fetched.add(url.href);
  return response;
}

const loader = {
  async bundles(): Promise<readonly string[]> {
    const { bundles } = (await (await get('bundles/index.json', 'no-cache')).json()) as BundleList;
    return bundles.filter(isPath);
  },
  /** Reads a file of a bundle, with progress over all files of it that were asked for. */
  async readBundleFile(
    bundle: string,
    path: string,
    onProgress?: (progress: DownloadProgress) => void,
    fresh = false,
  ): Promise<Uint8Array> {
    if (!isPath(bundle) || !isPath(path)) throw new Error(`expected the name of a file, got ${bundle}/${path}`);
    const read =
      readers.get(bundle) ??
      fetchFrom(new URL(`bundles/${bundle}`, base), { onProgress, onFetched: (url) => fetched.add(url) });
    readers.set(bundle, read);
    const bytes = await read(path, fresh);
    return Comlink.transfer(bytes, [bytes.buffer]);
  },
  /** A file of onnxruntime-web, or the example pictures: what the build put beside the page. */
  async readAsset(url: string): Promise<ArrayBuffer> {
    if (!new URL(url).href.startsWith(base.href)) throw new Error(`expected a file of this page, got ${url}`);
    const buffer = await (await get(url)).arrayBuffer();
    return Comlink.transfer(buffer, [buffer]);
  },
  /** The addresses of all that was fetched. */
  fetched: (): readonly string[] => [...fetched],
  /** Starts a bundle's progress anew, and forgets what caches hold of it. */
  async forget(bundle: string): Promise<void> {
    readers.delete(bundle);
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
