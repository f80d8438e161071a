// Ways out that content security policies say nothing of, taken from the page and from all packages in it before any of them runs.
// Workers have none of them: WebRTC's packets (`webrtc 'block'` is a draft that browsers warn of); scripts that the service worker does
// not see being fetched; and cookies, which go with the next request.
const register = navigator.serviceWorker?.register.bind(navigator.serviceWorker);

const remove = (from: object | undefined, name: string) => {
  if (from && name in from) Object.defineProperty(from, name, { value: undefined, writable: false });
};
for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection', 'SharedWorker', 'cookieStore'])
  remove(globalThis, name);
remove(Document.prototype, 'cookie');
remove(globalThis.ServiceWorkerContainer?.prototype, 'register');

/** Registers the page's own service worker; no other can be. There is none over plain HTTP. */
export async function registerServiceWorker(): Promise<void> {
  await register?.('./sw.js', { scope: './' }).catch(() => {});
}
