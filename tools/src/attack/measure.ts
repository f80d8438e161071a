import { Agent, request } from 'node:http';
import sharp from 'sharp';
import type { AttackTarget } from './target.js';

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** Milliseconds of a request; throws where it is not answered with 200. */
function timeOf(url: string, path: string, headers: Record<string, string>, body?: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const method = body ? 'POST' : 'GET';
    const client = request(`${url}${path}`, { method, headers, agent }, (response) => {
      response.resume().once('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - began);
        else reject(new Error(`the other client: ${method} ${path}: expected 200, got ${response.statusCode}`));
      });
    });
    client.once('error', reject);
    client.end(body);
  });
}

/** What another client sees: milliseconds of its requests, one after another, and of those that failed what they got. */
export interface Watched {
  readonly times: readonly number[];
  readonly failures: readonly string[];
}

/**
 * Another client's requests for so many milliseconds, at least one of each kind: predictions of a tensor, of a picture in JSON and
 * of one in a form by turns, and whether the service is live.
 */
export async function watch({ url, key, profile, imageLength }: AttackTarget, milliseconds: number): Promise<Watched> {
  const authorization: Record<string, string> = key === undefined ? {} : { 'X-API-Key': key };
  const picture = await sharp({ create: { width: 100, height: 100, channels: 3, background: '#fff' } })
    .png()
    .toBuffer();
  const head = '--x\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\n';
  const field = `\r\n--x\r\nContent-Disposition: form-data; name="profile"\r\n\r\n${profile}\r\n--x--\r\n`;
  const kinds = [
    { path: `/predict?profile=${profile}`, type: 'application/octet-stream', body: Buffer.alloc(imageLength * 4) },
    {
      path: '/predict',
      type: 'application/json',
      body: Buffer.from(JSON.stringify({ profile, image: picture.toString('base64') })),
    },
    {
      path: '/predict',
      type: 'multipart/form-data; boundary=x',
      body: Buffer.concat([Buffer.from(head), picture, Buffer.from(field)]),
    },
    { path: '/health/live' },
  ];
  const times: number[] = [];
  const failures: string[] = [];
  const until = performance.now() + milliseconds;
  for (let i = 0; i < kinds.length || performance.now() < until; i++) {
    const { path, type, body } = kinds[i % kinds.length] as (typeof kinds)[number] & { type?: string; body?: Buffer };
    const headers = {
      ...authorization,
      ...(type && body ? { 'Content-Type': type, 'Content-Length': `${body.length}` } : {}),
    };
    try {
      times.push(await timeOf(url, path, headers, body));
    } catch (error) {
      failures.push((error as Error).message);
    }
  }
  return { times, failures };
}
