import { Command, InvalidArgumentError } from 'commander';
import { wholeNumber } from '../arguments.js';
import { formatTable } from '../format.js';
import { configOf } from './serve.js';

interface KeyOptions {
  readonly store?: string;
  readonly config?: string;
  readonly namespace?: string;
  readonly operator?: boolean;
  readonly rateLimit?: number;
}

export function keysCommand(): Command {
  const keys = new Command('keys').description(
    'API keys of the service: each has profiles of its own. A running service knows of changes at once.',
  );
  const add = new Command('add')
    .description('Make a key and print it; only its hash is kept.')
    .argument('<name>', 'what lists and logs call it', plainName)
    .option(
      '--namespace <name>',
      "whose profiles it reads and writes; those of nobody else's key when absent",
      plainName,
    )
    .option('--operator', 'may read /metrics')
    .option('--rate-limit <n>', "requests a minute; 0: no limit; the service's own when absent", wholeNumber)
    .action(addAction);
  const list = new Command('list').description('List the keys, without the keys themselves.').action(listAction);
  const revoke = new Command('revoke')
    .description('Take a key away. Its profiles stay.')
    .argument('<key>', 'its name or id')
    .action(revokeAction);
  for (const each of [add, list, revoke]) {
    each
      .option('--store <address>', 'the store of the service: a folder or postgres://... (env: WHET_STORE)')
      .option('--config <file>', 'settings of the service in JSON (env: WHET_CONFIG)');
    keys.addCommand(each);
  }
  return keys;
}

function plainName(text: string): string {
  if (/^[\w.@-]{1,64}$/.test(text)) return text;
  throw new InvalidArgumentError('expected 1 to 64 letters, digits, ".", "_", "@" or "-".');
}

interface StoreUse {
  /** Whether a folder may be made into a store. */
  readonly make?: boolean;
}

/** Works on the keys of the store by these settings; with its address, without a password. */
async function withStore<T>(
  { store, config }: KeyOptions,
  use: (keys: import('@whet/server').KeyStore, address: string) => Promise<T>,
  { make = false }: StoreUse = {},
) {
  const { holdsStore, maskConfig, openStore } = await import('@whet/server');
  const settings = await configOf({
    ...(store === undefined ? {} : { store }),
    ...(config === undefined ? {} : { config }),
  });
  if (settings.store === 'memory:') throw new Error('--store: expected a folder or postgres://..., got memory:');
  const address = maskConfig(settings).store;
  // A mistaken path would be a new store without keys, and the service would go on with its own.
  if (!make && !holdsStore(settings.store))
    throw new Error(`store: expected that of a service, got ${address} with none`);
  const opened = await openStore(settings.store);
  try {
    return await use(opened.keys, address);
  } finally {
    await opened.close();
  }
}

async function addAction(name: string, options: KeyOptions): Promise<void> {
  const { addKey } = await import('@whet/server');
  const { namespace, operator, rateLimit } = options;
  const wanted = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(operator ? { role: 'operator' as const } : {}),
    ...(rateLimit === undefined ? {} : { rateLimit }),
  };
  const { key, record, address } = await withStore(
    options,
    async (keys, address) => ({ ...(await addKey(keys, wanted)), address }),
    { make: true },
  );
  process.stderr.write(`key ${record.id}, namespace ${record.namespace}, in ${address}; it is not shown again:\n`);
  process.stdout.write(`${key}\n`);
}

async function listAction(options: KeyOptions): Promise<void> {
  const keys = await withStore(options, (store) => store.list());
  const rows = keys.map(({ id, name, namespace, role, rateLimit, created }) => {
    return [id, name, namespace, role, rateLimit === undefined ? '' : String(rateLimit), created];
  });
  process.stdout.write(`${formatTable(['id', 'name', 'namespace', 'role', 'a minute', 'created'], rows)}\n`);
}

async function revokeAction(key: string, options: KeyOptions): Promise<void> {
  if (!(await withStore(options, (store) => store.revoke(key)))) {
    throw new Error(`expected the name or id of a key, got "${key}" (whet keys list)`);
  }
  process.stderr.write(`revoked ${key}\n`);
}
