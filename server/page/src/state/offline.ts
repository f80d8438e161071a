import { engine } from './engine.js';
import { isOffline } from './signals.js';

/**
 * Tells the service worker what the page fetched, for a visit without a network: on the first visit it was not there to see it. What
 * it has already it does not fetch again.
 */
export async function keepForLater(): Promise<void> {
  const { loader } = engine;
  if (!('serviceWorker' in navigator) || !loader || !import.meta.env.PROD) return;
  const { active } = await navigator.serviceWorker.ready;
  const urls = await loader.call((remote) => remote.fetched());
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data }: MessageEvent<boolean>) => {
    isOffline.value = data;
    port1.close();
  };
  active?.postMessage({ kind: 'keep', urls }, [port2]);
}

/** Whether somebody pays for what is fetched, or has asked for little. */
export function isMetered(): boolean {
  const { connection } = navigator as { connection?: { saveData?: boolean; type?: string } };
  return connection?.saveData === true || connection?.type === 'cellular';
}

/** Whether files of a bundle are kept on this device, by their digests; its manifest alone is little. */
export async function isKept(bundle: string): Promise<boolean> {
  // There are no caches over plain HTTP.
  if (!('caches' in globalThis)) return false;
  const folder = new URL(`bundles/${bundle}/`, location.href).href;
  const all = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
  return all.flat().some(({ url }) => url.startsWith(folder) && url.includes('?sha256='));
}
