import { Command } from 'commander';
import { bytes } from '../format.js';

export function migrateCommand(): Command {
  return new Command('migrate')
    .description("Write a bundle in today's format, as a folder or as one .whet file; its profiles stay its own.")
    .argument('<bundle>', 'folder or .whet file of a bundle, of any format')
    .requiredOption('--out <place>', 'folder of the bundle, or a file that ends in .whet')
    .action((bundle: string, { out }: { out: string }) => runMigrate(bundle, out));
}

async function runMigrate(bundle: string, out: string): Promise<void> {
  const { migrateBundle, writeBundle } = await import('@whet/trainer');
  const { manifest, contents } = await migrateBundle(bundle);
  await writeBundle(out, contents);
  const size = [...contents.values()].reduce((sum, file) => sum + file.byteLength, 0);
  process.stdout.write(`${out}: ${manifest.name} ${manifest.version}, ${bytes(size)} in ${contents.size} files\n`);
}
