import { Command } from 'commander';
import { bytes } from '../format.js';
import { configOf } from './serve.js';

export function storeCommand(): Command {
  const store = new Command('store').description(
    'Check, back up and move what the service keeps: profiles and keys, in a folder, in PostgreSQL or in a file of lines that ends in .jsonl.',
  );
  store
    .command('check')
    .description('Read all of it, and say whether it is as it was written.')
    .argument('[address]', "a folder, postgres://... or a .jsonl file; the service's own when absent (env: WHET_STORE)")
    .option('--config <file>', 'settings of the service in JSON (env: WHET_CONFIG)')
    .action(runCheck);
  store
    .command('copy')
    .description('Copy all of it as it is at one moment, also beside a running service. The target is empty or new.')
    .argument('<from>', 'a folder, postgres://... or a .jsonl file')
    .argument('<to>', 'a folder, postgres://... or a .jsonl file, which only its owner can read')
    .action(runCopy);
  return store;
}

async function runCheck(given: string | undefined, { config }: { readonly config?: string }): Promise<void> {
  const { checkStore, maskAddress } = await import('@whet/server');
  const address = given ?? (await configOf(config === undefined ? {} : { config })).store;
  process.stdout.write(`${maskAddress(address)}: ${describe(await checkStore(address))}, all as written\n`);
}

async function runCopy(from: string, to: string): Promise<void> {
  const { copyStore, maskAddress } = await import('@whet/server');
  process.stdout.write(`${maskAddress(to)}: ${describe(await copyStore(from, to))}\n`);
}

const describe = ({ profiles, bytes: size, keys }: import('@whet/server').StoreCounts) =>
  `${profiles} profiles (${bytes(size)}), ${keys} keys`;
