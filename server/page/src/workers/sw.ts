/// <reference lib="webworker" />
import { headersOf } from '../shared/headers.js';

// Keeps the page for later visits without a network. The build puts the list of its files in place of this name.
declare const __FILES__: { readonly version: string; readonly files: readonly string[] };
declare const self: ServiceWorkerGlobalScope;

const PAGE = `whet-page-${__FILES__.version}`;
const BUNDLES = 'whet-bundles';
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
  if (path.startsWith('bundles/'))
    event.respondWith(url.search ? keptOrFetched(request, BUNDLES) : fetchedOrKept(request));
  else if (path.startsWith('assets/')) event.respondWith(keptOrFetched(request, PAGE));
  else if (request.mode === 'navigate' && path === '') event.respondWith(fetchedOrKept(request, './'));
  else if (__FILES__.files.includes(path)) event.respondWith(fetchedOrKept(request, path));
});

/** A file that never changes: its address holds its digest. */
async function keptOrFetched(request: Request, name: string): Promise<Response> {
  const kept = await caches.match(request.url, { ignoreVary: true });
  if (kept) return isolated(kept, request.url);
  const response = await fetch(request);
  if (response.ok) await keep(name, request.url, response.clone());
  return isolated(response, request.url);
}

/** The newest there is. */
async function fetchedOrKept(request: Request, key: string = request.url): Promise<Response> {
  const name = request.url.includes('/bundles/') ? BUNDLES : PAGE;
  try {
    const response = await fetch(request);
    if (response.ok) await keep(name, key, response.clone());
    return isolated(response, request.url);
  } catch (cause) {
    const kept = await caches.match(key, { ignoreVary: true, ignoreSearch: true });
    if (kept) return isolated(kept, request.url);
    throw cause;
  }
}

/** Storage that is full must not keep the page from working. */
async function keep(name: string, key: string, response: Response): Promise<void> {
  try {
    const cache = await caches.open(name);
    await cache.put(key, response);
    // What an older bundle had at this place, by another digest.
    for (const old of await cache.keys(key, { ignoreSearch: true })) {
      if (old.url !== new URL(key, scope).href) await cache.delete(old);
    }
  } catch (cause) {
    console.warn(`not kept for later: ${key}: ${(cause as Error).message}`);
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
