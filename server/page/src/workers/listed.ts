import { BUILT_FILES, BUNDLE_LIST, builtFilesIn, bundlesIn, filesIn } from '../shared/bundle-list.js';

/**
 * Whether the host itself lists an address: as a file of the page, also of a newer one than this worker's, as a bundle's manifest, or as
 * a file of a manifest by its digest. Never by what is kept: what asks can write there.
 */
export function createListed(scope: string): (url: string) => Promise<boolean> {
  const known = new Set<string>();
  const hrefOf = (path: string) => new URL(path, scope).href;
  const read = async (path: string): Promise<unknown> => {
    try {
      const response = await fetch(hrefOf(path), { cache: 'no-cache' });
      return response.ok ? await response.json() : undefined;
    } catch {
      return undefined;
    }
  };
  const learn = async (url: string): Promise<void> => {
    if (!url.startsWith(hrefOf('bundles/'))) {
      for (const path of builtFilesIn(await read(BUILT_FILES))) known.add(hrefOf(path));
      return;
    }
    for (const name of bundlesIn(await read(BUNDLE_LIST))) {
      if (!url.startsWith(hrefOf(`bundles/${name}/`))) continue;
      const manifest = `bundles/${name}/manifest.json`;
      known.add(hrefOf(manifest));
      if (known.has(url)) continue;
      for (const [path, { sha256 }] of filesIn(await read(manifest)))
        known.add(hrefOf(`bundles/${name}/${path}?sha256=${sha256}`));
    }
  };
  let last: Promise<unknown> = Promise.resolve();
  return (url) => {
    // One after the other: what the first learns, the next need not.
    const answer = last.then(async () => {
      if (!known.has(url) && url.startsWith(scope)) await learn(url);
      return known.has(url);
    });
    last = answer;
    return answer;
  };
}
