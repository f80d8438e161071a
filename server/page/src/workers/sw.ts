/// <reference lib="webworker" />
import { headersOf } from '../shared/headers.js';

// Keeps the page for later visits without a network. The build puts the list of its files in place of this name.
declare const __FILES__: { readonly version: string; readonly files: readonly string[] };
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
      await self.clients.claim();
    })(),
  );
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || !url.href.startsWith(scope)) return;
  const path = url.pathname.slice(new URL(scope).pathname.length);
  if (path.startsWith('bundles/')) event.respondWith(url.search ? keptOrFetched(event) : fetchedOrKept(event));
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
      const done = await Promise.all(urls.filter((url) => url.startsWith(scope)).map(keepMissing));
      event.ports[0]?.postMessage(done.every(Boolean));
    })(),
  );
});

/** Keeps a file unless it is kept; whether it is then. */
async function keepMissing(url: string): Promise<boolean> {
  if (await caches.match(url, { ignoreVary: true })) return true;
  try {
    const response = await fetch(url);
    return response.ok && (await keep(url, response));
  } catch {
    return false;
  }
}

/** A file that never changes: its address holds its digest. A request for a fresh one goes past what is kept. */
async function keptOrFetched(event: FetchEvent): Promise<Response> {
  const { request } = event;
  const isFresh = request.cache === 'reload' || request.cache === 'no-store';
  const kept = isFresh ? undefined : await caches.match(request.url, { ignoreVary: true });
  if (kept) return isolated(kept, request.url);
  const response = await fetch(request);
  if (response.ok) event.waitUntil(keep(request.url, response.clone()));
  return isolated(response, request.url);
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
  if (!kept) return isolated(await fetching, request.url);
  // A late answer is kept for the next time.
  event.waitUntil(fetching.catch(() => {}));
  const patience = isSilent ? IMPATIENCE_MS : PATIENCE_MS;
  const silence = new Promise<'silent'>((resolve) => setTimeout(() => resolve('silent'), patience));
  const response = await Promise.race([fetching.catch(() => undefined), silence]);
  if (response === 'silent') isSilent = true;
  const isGood = response && response !== 'silent' && response.status < 500;
  return isolated(isGood ? response : kept, request.url);
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
    const headers = new Headers(response.headers);
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

/** The headers that the page needs, also where its host sends none. */
function isolated(response: Response, url: string): Response {
  if (response.type === 'opaque' || response.redirected || response.headers.has('content-security-policy'))
    return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(headersOf(new URL(url).pathname))) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
