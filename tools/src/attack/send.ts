import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { AttackTarget } from './target.js';

export interface Sent {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Sent at once with its length, or piece by piece without, until the answer comes. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Milliseconds for which nothing but the head of a good answer is read, before it is hung up. */
  readonly unreadMs?: number;
}

const agent = new Agent({ keepAlive: true });

/** The status of an answer; 0 where the connection ended without one. */
export function send(
  { url }: AttackTarget,
  { path, method = 'POST', headers = {}, body, unreadMs = 0 }: Sent,
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolve) => {
    const whole = body instanceof Uint8Array;
    const length = whole ? { 'Content-Length': body.length } : {};
    const { hostname, port } = new URL(url);
    const client = request({ hostname, port, path, method, headers: { ...headers, ...length }, agent, signal });
    let answered = false;
    client.once('response', (response) => {
      answered = true;
      const { statusCode = 0 } = response;
      if (unreadMs === 0 || statusCode !== 200) {
        resolve(statusCode);
        response.resume();
        return;
      }
      setTimeout(() => {
        resolve(statusCode);
        client.destroy();
      }, unreadMs);
    });
    client.once('error', () => resolve(0));
    client.once('close', () => resolve(0));
    if (whole || body === undefined) {
      client.end(body);
      return;
    }
    const closed = once(client, 'close');
    const pour = async () => {
      for await (const piece of body) {
        if (answered || client.destroyed) break;
        if (!client.write(piece)) await Promise.race([once(client, 'drain'), closed]);
      }
      client.end();
    };
    pour().catch(() => undefined);
  });
}
