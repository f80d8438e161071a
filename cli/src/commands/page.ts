import { MissingPackageError } from '@whet/runtime';
import { Command } from 'commander';
import { defaultBundles } from '../arguments.js';

export function pageCommand(): Command {
  return new Command('page')
    .description('Write the page that adapts on the device as static files, with bundles, for any host.')
    .argument('[bundles...]', 'folders or .whet files of bundles')
    .requiredOption('--out <dir>', 'folder to write')
    .action((bundles: string[], { out }: { out: string }) => runPage(bundles, out));
}

async function runPage(places: string[], out: string): Promise<void> {
  const { writePage } = await import('@whet/page').catch(MissingPackageError.of('@whet/page', 'whet page'));
  const { readBundle } = await import('@whet/runtime/node');
  const bundles = new Map<string, ReadonlyMap<string, Uint8Array>>();
  for (const place of places.length > 0 ? places : defaultBundles) {
    const { manifest, contents } = await readBundle(place);
    const { name } = manifest;
    if (bundles.has(name)) throw new Error(`${place}: another bundle is called "${name}" too; names must differ`);
    bundles.set(name, contents);
  }
  await writePage(out, bundles);
  process.stdout.write(`${out}: the page with ${[...bundles.keys()].join(', ')}; open it over HTTP, not as a file\n`);
}
