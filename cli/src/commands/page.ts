import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { defaultBundle } from '../arguments.js';

export function pageCommand(): Command {
  return new Command('page')
    .description('Write the page that adapts on the device as static files, with bundles, for any host.')
    .argument('[bundles...]', 'folders of bundles')
    .requiredOption('--out <dir>', 'folder to write')
    .action((bundles: string[], { out }: { out: string }) => runPage(bundles, out));
}

async function runPage(directories: string[], out: string): Promise<void> {
  const { writePage } = await import('@whet/page');
  const { parseManifest } = await import('@whet/runtime/format');
  const bundles = new Map<string, string>();
  for (const directory of directories.length > 0 ? directories : [defaultBundle]) {
    const { name } = parseManifest(await readFile(join(directory, 'manifest.json'), 'utf8'), directory);
    if (bundles.has(name)) throw new Error(`${directory}: another bundle is called "${name}" too; names must differ`);
    bundles.set(name, directory);
  }
  await writePage(out, bundles);
  process.stdout.write(`${out}: the page with ${[...bundles.keys()].join(', ')}; open it over HTTP, not as a file\n`);
}
