import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import * as files from '@whet/page';
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
  /** Answers requests in place of the service where it returns true: a host that fails, or is silent. */
  meddle: (request: IncomingMessage, response: ServerResponse) => boolean;
  close(): Promise<void>;
}

/** Bundles that servers of this process have opened: what they compute never changes, and opening takes most of a second. */
const opened = new Map<string, Promise<Bundle>>();

function openOnce(directory: string): Promise<Bundle> {
  const known = opened.get(directory) ?? loadBundle(directory, { threads: 1 });
  opened.set(directory, known);
  return known;
}

/** The service with the shipped bundle and its page, for bundles of the page's own if they are named; it keeps account of every request. */
export async function startPageServer(
  directory = join(bundlesDirectory, OMNIGLOT_BUNDLE),
  host = '127.0.0.1',
  pages?: ReadonlyMap<string, string>,
): Promise<PageServer> {
  const bundle = await openOnce(directory);
  const { name } = bundle.manifest;
  const app = createApp({
    bundles: new Map([[name, bundle]]),
    store: createMemoryStore(),
    version: '0.0.0',
    page: { files, bundles: pages ?? new Map([[name, directory]]) },
  });
  const requests: Seen[] = [];
  const server = createServer((request, response) => {
    // By the headers: a listener here would take the body from the service.
    const { 'content-length': length = 0, 'transfer-encoding': coding } = request.headers;
    const bytes = coding === undefined ? Number(length) : Number.POSITIVE_INFINITY;
    requests.push({ method: request.method ?? '', url: request.url ?? '', bytes });
    if (!started.meddle(request, response)) app(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const started: PageServer = {
    url: `http://${host}:${(server.address() as AddressInfo).port}/`,
    bundle,
    requests,
    meddle: () => false,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return started;
}
