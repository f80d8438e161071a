import type { Request, RequestHandler, Response } from 'express';

/** Bytes of a body that are read though nobody wants them, so that the connection can be used again. */
const REST_BYTES = 256 * 1024;
/** Milliseconds in which a client that goes on sending may read its answer before it is hung up on. */
const LINGER_MS = 1000;

/** Whether more of a body may still come than is worth reading. */
function isLong({ complete, headers }: Request): boolean {
  if (complete) return false;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > REST_BYTES;
}

/** Ends the connection behind an answer whose request has a long body that no route reads. */
export const refuseLongBodies: RequestHandler = (request, response, next) => {
  if (!['POST', 'PUT'].includes(request.method) && isLong(request)) response.set('Connection', 'close');
  next();
};

/**
 * Sends an answer that has no need of the rest of the request's body. Of a long one little more is read; the client has a moment to
 * read the answer and to end what it sends, then the connection ends.
 */
export function sendBeforeEnd(request: Request, response: Response, text: string): void {
  if (!isLong(request)) {
    response.send(text);
    return;
  }
  response.set({ Connection: 'close', 'Content-Length': String(Buffer.byteLength(text)) });
  response.write(text);
  let rest = 0;
  request.on('data', (chunk: Buffer) => {
    rest += chunk.length;
    if (rest > REST_BYTES) request.pause();
  });
  request.resume();
  // Not ended before: Node.js hangs up on the client then, which loses the answer where it is still sending.
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, LINGER_MS);
  request.once('end', end).once('error', end);
  response.once('close', end);
}
