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
