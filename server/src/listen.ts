import { createServer, type Server, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { type AppOptions, appOf, createService, workloadOf } from './app.js';
import type { Engine } from './engine/engine.js';
import { defaultTimeouts, type Timeouts } from './guard/timeouts.js';
import { Problem } from './problems.js';

/** Milliseconds in which a client that was refused may read why, and one that has just connected may ask. */
const LINGER_MS = 1000;

export interface ServerOptions extends AppOptions {
  /** Address to listen on; this machine only when absent. */
  readonly host?: string;
  /** Port to listen on; a free one when 0 or absent. */
  readonly port?: number;
  readonly timeouts?: Partial<Timeouts>;
}

export interface RunningServer {
  /** Where it answers, as in `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Runs the requests that come from now on on another engine, and closes the one before when its last has ended. */
  replace(engine: Engine): Promise<void>;
  /** Stops listening, lets requests under way finish for a while, ends all connections and closes the engine. */
  close(): Promise<void>;
}

/** Whether an address is of this machine alone. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Whether keys are asked for where nobody said: wherever others may reach the address, or a proxy that passes them on. */
export function defaultAuth(host: string, proxies = 0): 'off' | 'keys' {
  return isLoopback(host) && proxies === 0 ? 'off' : 'keys';
}

/**
 * Serves {@link createApp} over HTTP. Rejects with the system's error where the address cannot be had. Unless `auth` says
 * otherwise, keys are asked for behind a proxy and at every address that is not of this machine alone.
 */
export async function startServer({ host = '127.0.0.1', port = 0, ...options }: ServerOptions): Promise<RunningServer> {
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const { auth = defaultAuth(host, options.proxies), hostNames = [] } = options;
  const app: AppOptions = { ...options, auth, hostNames: [host, ...hostNames] };
  const service = createService(app);
  const handle = appOf(service, app);
  const server = createServer(
    {
      headersTimeout: timeouts.headMs,
      requestTimeout: timeouts.headMs + timeouts.bodyMs,
      keepAliveTimeout: timeouts.idleMs,
      connectionsCheckingInterval: 1000,
    },
    handle,
  );
  // An expectation that nobody knows is passed over, as HTTP allows; Node.js would refuse it without a word.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  server.prependListener('request', (_request, response) => {
    // Whoever keeps connections, such as a proxy, takes new ones elsewhere before this server hangs up on them.
    if (service.draining) response.shouldKeepAlive = false;
    // Of an answer that waits to be read, some has to be read in that time.
    response.setTimeout(timeouts.bodyMs, () => {
      if (response.headersSent && response.writableLength > 0) response.destroy();
    });
    // A connection that was busy when the server closed is kept alive after its answer, and would hold the server up.
    response.once('close', () => {
      if (!server.listening) setImmediate(() => server.closeIdleConnections());
    });
  });
  const fresh = freshConnections(server);
  refuseWhatIsNoRequest(server);
  await new Promise<void>((resolve, reject) => {
    // Also while it listens, as where a connection cannot be taken for want of file descriptors: the others go on.
    server.on('error', (error) => {
      if (server.listening) options.logger?.warn({ err: error }, 'a connection cannot be taken');
      else reject(error);
    });
    server.listen(port, host, resolve);
  });
  const end = async () => {
    service.draining = true;
    if (timeouts.drainDelayMs > 0) await pause(timeouts.drainDelayMs);
    try {
      await stopListening(server, fresh, timeouts.drainMs);
    } finally {
      await service.workload.close();
      await service.json.close();
    }
  };
  let closing: Promise<void> | undefined;
  return {
    url: urlOf(server.address() as AddressInfo),
    async replace(engine) {
      const { workload } = service;
      service.workload = workloadOf(engine, app, service.metrics);
      await workload.close();
    },
    close() {
      closing ??= end();
      return closing;
    },
  };
}

/** Connections that nothing was asked on yet. */
function freshConnections(server: Server): ReadonlySet<Socket> {
  const fresh = new Set<Socket>();
  server.on('connection', (socket) => {
    fresh.add(socket);
    socket.once('close', () => fresh.delete(socket));
  });
  server.on('request', ({ socket }) => fresh.delete(socket));
  return fresh;
}

function stopListening(server: Server, fresh: ReadonlySet<Socket>, graceMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => server.closeAllConnections(), graceMs);
    // The first request of a connection may be on its way; one that never asks would hold the server up.
    const linger = setTimeout(() => {
      for (const socket of fresh) socket.destroy();
    }, LINGER_MS);
    server.close((error) => {
      clearTimeout(linger);
      clearTimeout(timer);
      if (error) reject(error);
      else resolve();
    });
  });
}

/** What never becomes a request, such as a head of a megabyte or one that takes minutes, is refused in the same form. */
function refuseWhatIsNoRequest(server: Server): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const problem =
      error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new Problem('timeout', 'request', 'expected a whole request in time, got a part of one')
        : new Problem('malformed-request', 'request', `expected an HTTP/1.1 request, got ${error.message}`);
    const body = JSON.stringify(problem.toBody());
    const head = [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
      'Connection: close',
      'Server-Timing: total;dur=0',
      'Content-Type: application/problem+json',
      `Content-Length: ${Buffer.byteLength(body)}`,
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
    // Whoever does not hang up then, and may go on sending, is hung up on.
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  });
}

// "Every address" is no address a client can ask for.
function urlOf({ address, family, port }: AddressInfo): string {
  if (address === '0.0.0.0' || address === '::') return `http://localhost:${port}`;
  return family === 'IPv6' ? `http://[${address}]:${port}` : `http://${address}:${port}`;
}
