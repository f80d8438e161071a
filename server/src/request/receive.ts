import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Request, Response } from 'express';
import { Problem, show } from '../problems.js';
import { ownerOf } from '../service.js';
import type { BodyOptions } from './body-options.js';
import type { HeldBody } from './held-bodies.js';

const CHUNK_BYTES = 64 * 1024;

const decoders = {
  gzip: () => createGunzip({ chunkSize: CHUNK_BYTES }),
  deflate: () => createInflate({ chunkSize: CHUNK_BYTES }),
  br: () => createBrotliDecompress({ chunkSize: CHUNK_BYTES }),
};

/**
 * Runs `read` on a request whose body is counted as it comes. What is over the limit, or too much beside other bodies, ends it at once:
 * nothing more is read then. The bytes count until {@link freeBody} is called or the answer is out.
 */
export async function receive<T>(
  request: Request,
  response: Response,
  { held, limits: { bodyBytes } }: BodyOptions,
  /** Tells of the bytes that came; the signal says that no more are wanted. */
  read: (count: (bytes: number) => void, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const length = request.headers['content-length'];
  if (Number(length ?? 0) > bodyBytes) throw tooLarge(bodyBytes, `${length}`);
  const stop = new AbortController();
  const failed = new Promise<never>((_resolve, reject) => {
    stop.signal.addEventListener('abort', () => {
      request.unpipe();
      request.pause();
      reject(stop.signal.reason);
    });
  });
  failed.catch(() => undefined);
  const fail = (problem: Problem) => stop.abort(problem);
  const body = held.begin(ownerOf(request, response), fail);
  bodies.set(response, body);
  response.once('close', () => body.free());
  let total = 0;
  const count = (bytes: number) => {
    total += bytes;
    if (total > bodyBytes) {
      body.free();
      fail(tooLarge(bodyBytes, 'more'));
    } else body.add(bytes);
  };
  const result = await Promise.race([read(count, stop.signal), failed]);
  body.end();
  return result;
}

const bodies = new WeakMap<Response, HeldBody>();

/** Says that nothing holds the body of a request any more, though its answer is not out. */
export function freeBody(response: Response): void {
  bodies.get(response)?.free();
}

/** A body's bytes, decompressed where `compressed` says that they may be. Throws {@link Problem}. */
export function receiveBytes(
  request: Request,
  response: Response,
  options: BodyOptions & { readonly compressed: boolean; readonly malformed: (got: string) => Problem },
): Promise<Buffer> {
  const encoding = request.headers['content-encoding']?.toLowerCase() ?? 'identity';
  const decoder = Object.hasOwn(decoders, encoding) ? decoders[encoding as keyof typeof decoders] : undefined;
  if (encoding !== 'identity' && !(options.compressed && decoder)) {
    const expected = options.compressed ? `${Object.keys(decoders).join(', ')} or none` : 'bytes as they are';
    throw new Problem('unsupported-media', 'content-encoding', `expected ${expected}, got ${show(encoding)}`);
  }
  return receive(request, response, options, (count, signal) => {
    const source: Readable = decoder ? request.pipe(decoder()) : request;
    return new Promise<Buffer>((resolve, reject) => {
      const chunks: Buffer[] = [];
      const refuse = (error: Error) => reject(options.malformed(error.message));
      source.on('data', (chunk: Buffer) => {
        if (signal.aborted) return;
        chunks.push(chunk);
        count(chunk.length);
      });
      signal.addEventListener('abort', () => {
        chunks.length = 0;
        if (source !== request) source.destroy();
      });
      source.once('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
      source.once('error', refuse);
      request.once('error', refuse);
      request.once('close', () => request.complete || refuse(new Error('a part of one')));
    });
  });
}

/** The refusal of a body over the limit. */
export function tooLarge(bodyBytes: number, got: string): Problem {
  return new Problem('too-large', 'body', `expected at most ${bodyBytes} bytes, got ${got}`);
}
