import type { Worker as BrowserWorker, Page } from 'playwright-core';

/** Asks for addresses as scripts, workers and links, which no policy keeps from their own host; those that came. */
export async function whatCame(part: Page | BrowserWorker, addresses: readonly string[]): Promise<readonly string[]> {
  // As text: Vitest makes another thing of `import`.
  const source = `globalThis.bring = (address) => import(address); (${tryToAsk})(${JSON.stringify(addresses)})`;
  // A page and a worker take the same.
  return (part as Page).evaluate<readonly string[]>(source);
}

async function tryToAsk(addresses: readonly string[]): Promise<readonly string[]> {
  const { bring } = globalThis as unknown as { bring: (address: string) => Promise<unknown> };
  const hasCome = (asking: Promise<unknown>) =>
    asking.then(
      () => true,
      () => false,
    );
  const heard = (target: EventTarget, good: string) =>
    new Promise<boolean>((resolve) => {
      target.addEventListener('error', () => resolve(false), { once: true });
      target.addEventListener(good, () => resolve(true), { once: true });
      // A script that says nothing.
      setTimeout(resolve, 1000, false);
    });
  const asWorker = (address: string, type: WorkerType) => {
    const worker = new Worker(address, { type });
    return heard(worker, 'message').finally(() => worker.terminate());
  };
  const asElement = (tag: 'link' | 'script', values: object) => {
    const element = Object.assign(document.createElement(tag), values);
    document.head.append(element);
    return heard(element, 'load');
  };
  const all = addresses.map(async (address) => {
    const ways = [hasCome(bring(address)), asWorker(address, 'module'), asWorker(address, 'classic')];
    if ('document' in globalThis) {
      for (const type of ['module', '']) ways.push(asElement('script', { src: address, type }));
      const rels = ['stylesheet', 'prefetch', 'modulepreload', 'preload', 'manifest', 'icon', 'prerender'];
      for (const rel of [...rels, 'compression-dictionary'])
        ways.push(asElement('link', { rel, as: rel.endsWith('preload') ? 'script' : '', href: address }));
      const { audioWorklet } = new OfflineAudioContext(1, 1, 8000);
      if (audioWorklet) ways.push(hasCome(audioWorklet.addModule(address)));
    }
    return (await Promise.all(ways)).some(Boolean);
  });
  const came = await Promise.all(all);
  return addresses.filter((_, i) => came[i]);
}
