/// <reference lib="webworker" />
import { BUNDLE_LIST } from '../shared/bundle-list.js';
import { headersOf } from '../shared/headers.js';
import { createListed } from './listed.js';

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
/** ms in which it is told who asks for a file, unless that is a worker that is only starting. */
const STARTING_MS = 100;
/** ms after which what has not said who it is is not waited for any more. */
const TOLD_MS = 10_000;
const scope = self.registration.scope;
/** Addresses of the files of this version. */
const own = new Set([...__FILES__.files, ...__FILES__.later, BUNDLE_LIST].map((path) => new URL(path, scope).href));
const isListed = createListed(scope);

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
  // The page's policy lets it read of no other origin, and send nothing.
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  if (request.mode !== 'navigate') event.respondWith(answer(event));
  else if (url.origin + url.pathname === scope) event.respondWith(fetchedOrKept(event, './'));
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
      const done = await Promise.all(missing.map(async (url) => (await isOfPage(url)) && (await fetchToKeep(url))));
      event.ports[0]?.postMessage(done.every(Boolean));
    })(),
  );
});

/** Whether an address is one of the page's files: of this version, or that the host lists. What asks sees pictures. */
const isOfPage = async (url: string) => own.has(url) || (await isListed(url));

/**
 * Answers what is no navigation. The page and the worker that computes may by their policies import, start and link any address of
 * this origin, so the host is asked for the page's files only.
 */
async function answer(event: FetchEvent): Promise<Response> {
  const { request, clientId } = event;
  const url = new URL(request.url);
  // Never sent.
  url.hash = '';
  if (!own.has(url.href) && (await isFromOther(clientId, url.href))) return fetch(request);
  const isFixed = url.search !== '' || url.href.startsWith(`${scope}assets/`);
  const kept = await caches.match(url, { ignoreVary: true });
  if (isFixed && kept && !isFresh(request)) return withOwnHeaders(kept, url.href);
  const asking = isOfPage(url.href);
  if ((await (kept ? inTime(asking) : asking)) === true) return isFixed ? fetched(event) : fetchedOrKept(event);
  return kept ? withOwnHeaders(kept, url.href) : Response.error();
}

/**
 * Whether what asks is not of the page. By the standard, and in Firefox, who asks is not told before a worker has started: of one whose
 * own imports are asked for it never would be. Those of the page are of its files; what else such a worker asks for is taken for the page's,
 * too, and so refused.
 */
async function isFromOther(clientId: string, url: string): Promise<boolean> {
  const asking = isOther(clientId);
  const after = (milliseconds: number) => new Promise<false>((end) => setTimeout(() => end(false), milliseconds));
  const toldLate = () => Promise.race([asking, after(TOLD_MS)]);
  return Promise.race([asking, after(STARTING_MS).then(async () => !(await isOfPage(url)) && toldLate())]);
}

/** Whether what asks is a document beside the page, as the service's `/docs`, or a worker of one. */
async function isOther(clientId: string): Promise<boolean> {
  const client = await self.clients.get(clientId);
  if (!client) return false;
  const { origin, pathname } = new URL(client.url);
  if (client.type !== 'window') return !client.url.startsWith(`${scope}assets/`);
  // An empty frame has its parent's policy, and no origin in its address.
  return origin === location.origin && ![scope, `${scope}index.html`].includes(origin + pathname);
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

/** A request for a fresh file goes past what is kept. */
const isFresh = ({ cache }: Request) => cache === 'reload' || cache === 'no-store';

/**
 * Asks the host. Of a page's request, no more than its address: a referrer could hold what a script wrote into the page's own. A
 * navigation is the browser's.
 */
function ask(request: Request): Promise<Response> {
  const { mode, cache, signal } = request;
  return mode === 'navigate' ? fetch(request) : fetch(request.url, { cache, signal, referrerPolicy: 'no-referrer' });
}

/** A file that never changes: its address holds its digest. */
async function fetched(event: FetchEvent): Promise<Response> {
  const { request } = event;
  const response = await ask(request);
  if (response.ok) event.waitUntil(keep(request.url, response.clone()));
  return withOwnHeaders(response, request.url);
}

/** The newest there is; what is kept where the host is away, fails or is silent. */
async function fetchedOrKept(event: FetchEvent, key: string = event.request.url): Promise<Response> {
  const { request } = event;
  const kept = await caches.match(key, { ignoreVary: true, ignoreSearch: true });
  const fetching = ask(request).then((response) => {
    isSilent = false;
    if (response.ok) event.waitUntil(keep(key, response.clone()));
    return response;
  });
  if (!kept) return withOwnHeaders(await fetching, request.url);
  // A late answer is kept for the next time.
  event.waitUntil(fetching.catch(() => {}));
  const response = await inTime(fetching.catch(() => undefined));
  const isGood = response && response !== 'silent' && response.status < 500;
  return withOwnHeaders(isGood ? response : kept, request.url);
}

/** What comes while the host has patience left, or that it was silent. */
async function inTime<T>(asking: Promise<T>): Promise<T | 'silent'> {
  const patience = isSilent ? IMPATIENCE_MS : PATIENCE_MS;
  const silence = new Promise<'silent'>((resolve) => setTimeout(() => resolve('silent'), patience));
  const answer = await Promise.race([asking, silence]);
  if (answer === 'silent') isSilent = true;
  return answer;
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
