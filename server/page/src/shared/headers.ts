/** Where a file of the page computes, or fetches, or shows: each has a policy of its own. */
const NO_NETWORK = "connect-src 'none'";
const OWN_NETWORK = "connect-src 'self'";

/** What every part of the page may do. Scripts, styles and workers are its own files; nothing is embedded anywhere. */
const COMMON = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "worker-src 'self'",
  "manifest-src 'self'",
  'img-src blob: data:',
  'media-src blob:',
  "base-uri 'none'",
  "form-action 'none'",
];

/** The page's policy as its own text states it, for hosts that send no headers. */
export const META_POLICY = [...COMMON, NO_NETWORK].join('; ');

/**
 * The headers of a file of the page, by its path. What sees pictures, the page and the worker that computes, may fetch, open sockets,
 * load images and send beacons to nowhere; what may, the loader and the service worker, gets no pictures. No policy covers WebRTC and
 * cookies, which `no-other-ways.ts` takes away, the addresses of scripts and links, which the service worker checks, and navigation by
 * a script. The rest isolates the page from other origins, which WebAssembly's threads need.
 */
export function headersOf(path: string): Record<string, string> {
  const connects = /(^|\/)(loader-[^/]*|sw)\.js$/.test(path);
  const policy = [...COMMON, connects ? OWN_NETWORK : NO_NETWORK, "frame-ancestors 'none'"].join('; ');
  return {
    'Content-Security-Policy': policy,
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(self), geolocation=(), microphone=()',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  };
}

/** Whether a file's name holds a digest of its content, so that it never changes. */
export const isImmutable = (path: string): boolean => /(^|\/)assets\//.test(path);
