/// <reference lib="webworker" />
import { BUNDLE_LIST, bundlesIn, filesIn } from '../shared/bundle-list.js';
import { headersOf } from '../shared/headers.js';

// Keeps the page for later visits without a network. The build puts the list of its files in place of this name: those that are kept
// from the first visit on, and those that only some devices need.
declare const __FILES__: {
  readonly version: string;
  readonly files: readonly string[];
  readonly later: readonly string[];
};
declare const self: ServiceWorkerGlobalScope;

const PAGE = `whet-page-${__FILES__.version}`;
const BUNDLES = 'whet-bundles';
/** ms in which a host answers, or what is kept is taken; and those for a host that was silent last. */
const [PATIENCE_MS, IMPATIENCE_MS] = [3000, 300];
let isSilent = false;
const scope = self.registration.scope;

self.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(PAGE);
      await cache.addAll(__FILES__.files.map((file) => new Request(file, { cache: 'no-cache' })));
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith('whet-page-') && name !== PAGE) await caches.delete(name);
      }
      await heal();
      await self.clients.claim();
    })(),
  );
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || !url.href.startsWith(scope)) return;
  const path = url.pathname.slice(new URL(scope).pathname.length);
  // No address of this page has more: whatever else stands in one would be told to the host.
  if (!/^(\?sha256=[\da-f]{64})?$/.test(url.search) && /^(bundles|assets)\//.test(path))
    event.respondWith(Response.error());
  else if (path.startsWith('bundles/')) event.respondWith(url.search ? keptOrFetched(event) : fetchedOrKept(event));
  else if (path.startsWith('assets/')) event.respondWith(keptOrFetched(event));
  else if (request.mode === 'navigate' && path === '') event.respondWith(fetchedOrKept(event, './'));
  else if (__FILES__.files.includes(path)) event.respondWith(fetchedOrKept(event, path));
});

// What the page fetched before this worker was there to see it.
self.addEventListener('message', (event) => {
  const { kind, urls } = (event.data ?? {}) as { kind?: string; urls?: readonly string[] };
  if (kind !== 'keep' || !urls) return;
  event.waitUntil(
    (async () => {
      await heal();
      const all = await Promise.all([PAGE, BUNDLES].map(async (name) => (await caches.open(name)).keys()));
      const kept = new Set(all.flat().map(({ url }) => url));
      const missing = urls.filter((url) => !kept.has(url));
      const listed = missing.length > 0 ? await addressesOf(missing) : new Set();
      const done = await Promise.all(missing.map(async (url) => listed.has(url) && (await fetchToKeep(url))));
      event.ports[0]?.postMessage(done.every(Boolean));
    })(),
  );
});

/**
 * The addresses that may be asked for: the built files, and of the bundles beside them that `wanted` has, the files of their manifests.
 * What asks sees pictures, so nothing but these is told to the host.
 */
async function addressesOf(wanted: readonly string[]): Promise<ReadonlySet<string>> {
  const read = async (path: string): Promise<unknown> => {
    const url = new URL(path, scope);
    const fetched = await fetch(url, { cache: 'no-cache' }).catch(() => undefined);
    const response = fetched?.ok ? fetched : await caches.match(url, { ignoreVary: true });
    return response?.json().catch(() => undefined);
  };
  const paths = [...__FILES__.files, ...__FILES__.later, BUNDLE_LIST];
  const folderOf = (name: string) => new URL(`bundles/${name}/`, scope).href;
  for (const name of bundlesIn(await read(BUNDLE_LIST))) {
    if (!wanted.some((url) => url.startsWith(folderOf(name)))) continue;
    const manifest = `bundles/${name}/manifest.json`;
    paths.push(manifest);
    for (const [path, { sha256 }] of filesIn(await read(manifest)))
      paths.push(`bundles/${name}/${path}?sha256=${sha256}`);
  }
  return new Set(paths.map((path) => new URL(path, scope).href));
}

/** Fetches a file and keeps it; whether it is kept then. */
async function fetchToKeep(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    return response.ok && (await keep(url, response));
  } catch {
    return false;
  }
}

/** What an older version of this worker, or of the host, kept with other headers gets those of this one. */
async function heal(): Promise<void> {
  for (const name of [PAGE, BUNDLES]) {
    const cache = await caches.open(name);
    for (const { url } of await cache.keys()) {
      const response = await cache.match(url, { ignoreVary: true });
      const own = Object.entries(headersOf(new URL(url).pathname));
      if (!response || own.every(([header, value]) => response.headers.get(header) === value)) continue;
      await cache.put(url, withOwnHeaders(response, url)).catch(() => cache.delete(url));
    }
  }
}

/** A file that never changes: its address holds its digest. A request for a fresh one goes past what is kept. */
async function keptOrFetched(event: FetchEvent): Promise<Response> {
  const { request } = event;
  const isFresh = request.cache === 'reload' || request.cache === 'no-store';
  const kept = isFresh ? undefined : await caches.match(request.url, { ignoreVary: true });
  if (kept) return withOwnHeaders(kept, request.url);
  const response = await fetch(request);
  if (response.ok) event.waitUntil(keep(request.url, response.clone()));
  return withOwnHeaders(response, request.url);
}

/** The newest there is; what is kept where the host is away, fails or is silent. */
async function fetchedOrKept(event: FetchEvent, key: string = event.request.url): Promise<Response> {
  const { request } = event;
  const kept = await caches.match(key, { ignoreVary: true, ignoreSearch: true });
  const fetching = fetch(request).then((response) => {
    isSilent = false;
    if (response.ok) event.waitUntil(keep(key, response.clone()));
    return response;
  });
  if (!kept) return withOwnHeaders(await fetching, request.url);
  // A late answer is kept for the next time.
  event.waitUntil(fetching.catch(() => {}));
  const patience = isSilent ? IMPATIENCE_MS : PATIENCE_MS;
  const silence = new Promise<'silent'>((resolve) => setTimeout(() => resolve('silent'), patience));
  const response = await Promise.race([fetching.catch(() => undefined), silence]);
  if (response === 'silent') isSilent = true;
  const isGood = response && response !== 'silent' && response.status < 500;
  return withOwnHeaders(isGood ? response : kept, request.url);
}

const hex = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');

/**
 * Keeps a file; whether it is kept. One whose address has a digest is kept only where it fits: damaged once, it would stay so for
 * ever. Storage that is full must not keep the page from working.
 */
async function keep(key: string, response: Response): Promise<boolean> {
  const url = new URL(key, scope);
  try {
    const { status } = response;
    const headers = ownHeaders(response, url.href);
    // Of the bytes as they travelled.
    for (const name of ['content-encoding', 'content-length']) headers.delete(name);
    const body = await response.arrayBuffer();
    const expected = url.searchParams.get('sha256');
    if (expected !== null && hex(await crypto.subtle.digest('SHA-256', body)) !== expected) return false;
    const cache = await caches.open(url.href.startsWith(`${scope}bundles/`) ? BUNDLES : PAGE);
    await cache.put(url, new Response(body, { status, headers }));
    // What an older bundle had at this place, by another digest.
    for (const old of await cache.keys(url, { ignoreSearch: true })) {
      if (old.url !== url.href) await cache.delete(old);
    }
    return true;
  } catch (cause) {
    console.warn(`not kept for later: ${key}: ${(cause as Error).message}`);
    return false;
  }
}

/** An answer with the page's headers, whatever its host sent or sends: a policy that a host loses is none. */
function withOwnHeaders(response: Response, url: string): Response {
  // Of these nothing can be read; the browser follows a redirection itself, and asks anew.
  if (['opaque', 'opaqueredirect', 'error'].includes(response.type)) return response;
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers: ownHeaders(response, url) });
}

function ownHeaders(response: Response, url: string): Headers {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(headersOf(new URL(url).pathname))) headers.set(name, value);
  return headers;
}
