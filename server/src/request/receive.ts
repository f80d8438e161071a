import type { Request, Response } from 'express';
import type { Problem } from '../problems.js';
import { ownerOf } from '../service.js';
import type { BodyOptions } from './body-options.js';
import { discard, joinAndDiscard } from './discard.js';
import type { HeldBody } from './held-bodies.js';
import { tooLarge } from './too-large.js';

/**
 * Runs `read` on a request whose body is counted as it comes. What is over the limit, or too much beside other bodies, ends it at once:
 * nothing more is read then. The bytes count until {@link freeBody} is called or the answer is out.
 */
export async function receive<T>(
  request: Request,
  response: Response,
  { held, pace, limits: { bodyBytes } }: BodyOptions,
  /** `take` is given what came, until the signal says that no more is wanted; what it returns says when the next may come. */
  read: (take: (chunk: Buffer) => Promise<void> | undefined, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const length = request.headers['content-length'];
  if (Number(length ?? 0) > bodyBytes) throw tooLarge(bodyBytes, `${length}`);
  const stop = new AbortController();
  const failed = new Promise<never>((_resolve, reject) => {
    stop.signal.addEventListener('abort', () => {
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
  const turn = pace.ofBody();
  const take = ({ length }: Buffer) => {
    total += length;
    if (total > bodyBytes) {
      body.free();
      fail(tooLarge(bodyBytes, 'more'));
    } else body.add(length);
    return stop.signal.aborted ? undefined : turn(length);
  };
  const result = await Promise.race([read(take, stop.signal), failed]);
  body.end();
  return result;
}

/** Reads no more of a request until then. */
export function waitFor(request: Request, turn: Promise<unknown> | undefined, signal: AbortSignal): void {
  if (!turn) return;
  request.pause();
  void turn.then(() => signal.aborted || request.resume());
}

const bodies = new WeakMap<Response, HeldBody>();

/** Says that nothing holds the body of a request any more, though its answer is not out. */
export function freeBody(response: Response): void {
  bodies.get(response)?.free();
}

/** Counts what the whole body of a request has grown by. Throws {@link Problem} `busy` where that is too much beside others. */
export function growBody(response: Response, bytes: number): void {
  bodies.get(response)?.grow(bytes);
}

/** A body's bytes as they came. Throws {@link Problem}; `malformed` makes that of a body which is not whole. */
export function receiveBytes(
  request: Request,
  response: Response,
  options: BodyOptions,
  malformed: (got: string) => Problem,
): Promise<Buffer> {
  return receive(request, response, options, (take, signal) => {
    return new Promise<Buffer>((resolve, reject) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => {
        if (signal.aborted) return;
        chunks.push(chunk);
        waitFor(request, take(chunk), signal);
      });
      signal.addEventListener('abort', () => {
        discard(chunks.splice(0));
      });
      request.once('end', () => resolve(joinAndDiscard(chunks)));
      const cut = () => {
        if (request.complete) return;
        discard(chunks.splice(0));
        reject(malformed('a part of one'));
      };
      request.once('error', cut);
      request.once('close', cut);
    });
  });
}
