import { once } from 'node:events';
import { chmod, lstat, mkdir, readFile, rename, rm, rmdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Attack } from './attack.js';

/** A file is there or it is not, may be read or not, or cannot be opened for now; its part is there or not. */
const EXPECTED = [200, 206, 304, 403, 404, 412, 416, 503];
const MEGABYTES = 64;
const CONNECTIONS = 200;

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

interface Asked {
  readonly statuses: Map<number, number>;
  ask(path: string, headers?: Readonly<Record<string, string>>, method?: string): Promise<Answer>;
}

/**
 * Takes away, forbids, replaces and cuts off the files of a bundle's folder while a service with a page serves it, hangs up at any
 * moment, holds connections and asks for strange addresses. The folder is as it was afterwards. Rejects where the service
 * answers with another status than it should, loses the page's policy, or ends; resolves to how often each status came.
 */
export async function attackStaticFiles(url: string, folder: string): Promise<ReadonlyMap<number, number>> {
  const statuses = new Map<number, number>();
  const asked: Asked = {
    statuses,
    async ask(path, headers = {}, method = 'GET') {
      const response = await fetch(url.replace(/\/*$/, '') + path, { headers, method });
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      if (!EXPECTED.includes(response.status))
        throw new Error(`${method} ${path}: expected one of ${EXPECTED}, got ${response.status}`);
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
  };
  const { bundles } = (await (await fetch(new URL('/bundles/index.json', url))).json()) as { bundles: string[] };
  const bundle = `/bundles/${bundles[0]}`;
  const large = join(folder, 'attack.bin');
  await writeFile(large, '');
  try {
    await keepPolicy(asked, bundle);
    await swap(asked, bundle, folder);
    await spoil(asked, bundle, folder);
    await cutOff(url, `${bundle}/attack.bin`, large);
    await hold(url);
    await askStrangely(url, bundle);
    if ((await asked.ask(`${bundle}/manifest.json`)).status !== 200)
      throw new Error(`${bundle}: expected the manifest again`);
  } finally {
    await rm(large, { force: true });
  }
  return statuses;
}

/** The policy of each file of the page, and of the bundle: the same where it has not changed, in a part, and by its head alone. */
async function keepPolicy({ ask }: Asked, bundle: string): Promise<void> {
  const policyOf = ({ headers }: Answer) => headers.get('content-security-policy');
  const { text } = await ask('/');
  const assets = [...text.matchAll(/(?:src|href)="\.(\/[^"]+)"/g)].map(([, path]) => path as string);
  for (const path of ['/', '/sw.js', `${bundle}/manifest.json`, ...assets]) {
    const whole = await ask(path);
    const policy = policyOf(whole);
    if (!policy?.includes('wasm-unsafe-eval')) throw new Error(`${path}: expected the page's policy, got ${policy}`);
    const etag = whole.headers.get('etag') ?? '';
    const others = [
      await ask(path, { 'If-None-Match': etag }),
      await ask(path, { Range: 'bytes=0-9' }),
      await ask(path, { 'Accept-Encoding': 'identity' }),
      await ask(path, {}, 'HEAD'),
    ];
    for (const other of others) {
      if (policyOf(other) !== policy)
        throw new Error(`${path}: ${other.status}: expected ${policy}, got ${policyOf(other)}`);
    }
    if (others[0]?.status !== 304) throw new Error(`${path}: expected 304, got ${others[0]?.status}`);
  }
}

/** Renames the manifest to and fro while clients ask for it. */
async function swap({ ask }: Asked, bundle: string, folder: string): Promise<void> {
  const [manifest, aside] = [join(folder, 'manifest.json'), join(folder, 'attack-aside')];
  let stop = false;
  const swapping = (async () => {
    while (!stop) {
      await rename(manifest, aside);
      await rename(aside, manifest);
    }
  })();
  const client = async () => {
    for (let i = 0; i < 100; i++) await ask(`${bundle}/manifest.json`);
  };
  try {
    await Promise.all([client(), client(), client()]);
  } finally {
    stop = true;
    await swapping;
  }
}

/** The manifest as what cannot be opened: forbidden, a folder, a link to nowhere, a link to itself. */
async function spoil({ ask }: Asked, bundle: string, folder: string): Promise<void> {
  const manifest = join(folder, 'manifest.json');
  const { mode } = await lstat(manifest);
  const whole = await readFile(manifest);
  const path = `${bundle}/manifest.json`;
  try {
    await chmod(manifest, 0);
    await ask(path);
    await rm(manifest);
    await ask(path);
    await mkdir(manifest);
    await ask(path);
    await rmdir(manifest);
    for (const target of ['nowhere', 'manifest.json']) {
      await symlink(target, manifest);
      await ask(path);
      await rm(manifest);
    }
  } finally {
    await rm(manifest, { recursive: true, force: true });
    await writeFile(manifest, whole, { mode });
  }
}

async function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname.replace(/^\[|\]$/g, ''));
  socket.on('error', () => undefined);
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  return socket;
}

const requestOf = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

/** Hangs up while a file is sent, and cuts the file off while it is. */
async function cutOff(url: string, path: string, large: string): Promise<void> {
  for (const isCut of [false, true]) {
    await truncate(large, MEGABYTES << 20);
    const socket = await open(url);
    socket.write(requestOf(path));
    await once(socket, 'data');
    if (isCut) {
      const closed = once(socket, 'close');
      socket.pause();
      await truncate(large, 1);
      socket.resume().on('data', () => undefined);
      await Promise.race([
        closed,
        pause(30_000).then(() => Promise.reject(new Error(`${path}: expected the end of a file cut off, got none`))),
      ]);
    } else socket.resetAndDestroy();
  }
}

/** Takes all descriptors that the service has for clients, for a moment, and asks for a file meanwhile. */
async function hold(url: string): Promise<void> {
  const first = await open(url);
  const sockets: Socket[] = [];
  for (let i = 0; i < CONNECTIONS; i++) sockets.push(await open(url));
  first.write(requestOf('/'));
  const [answer] = (await Promise.race([once(first, 'data'), once(first, 'close')])) as [unknown];
  for (const socket of [first, ...sockets]) socket.destroy();
  if (Buffer.isBuffer(answer) && !/^HTTP\/1\.1 (200|503) /.test(String(answer))) {
    throw new Error(`/: expected 200 or 503 while connections are held, got ${String(answer).slice(0, 40)}`);
  }
}

/** Addresses that are no file's. */
async function askStrangely(url: string, bundle: string): Promise<void> {
  const paths = [
    '/..',
    '/%2e%2e/manifest.json',
    '/..%2f..%2fetc/passwd',
    '/%00',
    '/%ff',
    '/.git/config',
    '/manifest.json/',
    `/${'a'.repeat(5000)}`,
  ];
  for (const path of [...paths, ...paths.map((each) => bundle + each)]) {
    const socket = await open(url);
    socket.write(requestOf(path));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    if (!/^HTTP\/1\.1 40[034] /.test(String(answer)))
      throw new Error(`${path}: expected 400, 403 or 404, got ${String(answer).slice(0, 40)}`);
  }
}

export const staticFileAttacks: readonly Attack[] = [
  {
    name: 'static-files',
    what: 'files of the bundle taken away, forbidden, replaced and cut off, strange addresses, connections held',
    clients: 1,
    statuses: [200],
    async prepare({ url, bundle }) {
      return async () => {
        await attackStaticFiles(url, bundle);
        return 200;
      };
    },
  },
];
