import { createServer, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type AppOptions, createApp } from './app.js';
import { Problem } from './problems.js';

export interface ServerOptions extends AppOptions {
  /** Address to listen on; this machine only when absent. */
  readonly host?: string;
  /** Port to listen on; a free one when 0 or absent. */
  readonly port?: number;
}

export interface RunningServer {
  /** Where it answers, as in `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Stops listening, lets requests under way finish for a while, and ends all connections. */
  close(): Promise<void>;
}

const GRACE_MS = 5000;

/** Serves {@link createApp} over HTTP. Rejects with the system's error where the address cannot be had. */
export async function startServer({ host = '127.0.0.1', port = 0, ...app }: ServerOptions): Promise<RunningServer> {
  const server = createServer(createApp(app));
  // A connection that was busy when the server closed is kept alive after its answer, and would hold the server up.
  server.on('request', (_request, response) => {
    response.once('close', () => {
      if (!server.listening) setImmediate(() => server.closeIdleConnections());
    });
  });
  // What never becomes a request, such as a header of a megabyte, is refused in the same form.
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const problem = new Problem('malformed-request', 'request', `expected an HTTP/1.1 request, got ${error.message}`);
    const body = JSON.stringify(problem.toBody());
    const head = [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
      'Connection: close',
      'Content-Type: application/problem+json',
      `Content-Length: ${Buffer.byteLength(body)}`,
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    url: urlOf(server.address() as AddressInfo),
    close: () =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS);
        server.close((error) => {
          clearTimeout(timer);
          if (error) reject(error);
          else resolve();
        });
      }),
  };
}

// "Every address" is no address a client can ask for.
function urlOf({ address, family, port }: AddressInfo): string {
  if (address === '0.0.0.0' || address === '::') return `http://localhost:${port}`;
  return family === 'IPv6' ? `http://[${address}]:${port}` : `http://${address}:${port}`;
}
