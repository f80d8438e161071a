import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { bundlesDirectory, DEFAULT_BUNDLE } from '@whet/models';
import type { Bundle } from '@whet/runtime';
import { loadBundle } from '@whet/runtime/node';
import { createApp, createMemoryStore } from '@whet/server';

/** A request as the server saw it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  /** Bytes of its body; Infinity where its headers do not say how many. */
  readonly bytes: number;
}

export interface PageServer {
  readonly url: string;
  /** The bundle in Node.js, to compare with. */
  readonly bundle: Bundle;
  readonly requests: Seen[];
  close(): Promise<void>;
}

/** The service with the shipped bundle and its page; it keeps account of every request. */
export async function startPageServer(
  directory = join(bundlesDirectory, DEFAULT_BUNDLE),
  host = '127.0.0.1',
): Promise<PageServer> {
  const bundle = await loadBundle(directory, { threads: 1 });
  const { name } = bundle.manifest;
  const app = createApp({
    bundles: new Map([[name, bundle]]),
    store: createMemoryStore(),
    version: '0.0.0',
    page: { bundles: new Map([[name, directory]]) },
  });
  const requests: Seen[] = [];
  const server = createServer((request, response) => {
    // By the headers: a listener here would take the body from the service.
    const { 'content-length': length = 0, 'transfer-encoding': coding } = request.headers;
    const bytes = coding === undefined ? Number(length) : Number.POSITIVE_INFINITY;
    requests.push({ method: request.method ?? '', url: request.url ?? '', bytes });
    app(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}/`,
    bundle,
    requests,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await bundle.release();
    },
  };
}
