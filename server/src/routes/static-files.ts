import { once } from 'node:events';
import { constants, createReadStream, type ReadStream } from 'node:fs';
import { extname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { Request, RequestHandler, Response } from 'express';
import send from 'send';

/** A file that is there, and cannot be opened or read now. */
export class FileError extends Error {
  override readonly name = 'FileError';
  constructor(
    readonly path: string,
    override readonly cause: Error,
  ) {
    super(`${path}: expected a file that can be read, got ${cause.message}`, { cause });
  }

  /** Whether this process may not read it; anything else, such as too many open files, may pass. */
  get isForbidden(): boolean {
    return ['EACCES', 'EPERM'].includes(codeOf(this.cause) ?? '');
  }
}

// Of folders, of links that lead nowhere, and of pipes and sockets, which are no files.
const ABSENT = ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'EISDIR', 'ELOOP', 'ESPIPE', 'ENXIO'];

/** The system's code of an error, such as `EMFILE`. */
const codeOf = (error: unknown) => (error as { readonly code?: string }).code;

/** A pipe in a folder answers nothing at once; opened otherwise, it would hold a thread of Node.js until somebody writes to it. */
const READ = { flags: constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) };

/** Names of a file by which its headers would be another's: `loader-x%2f..%2fcompute.js` is no loader. */
const isDetour = (path: string) => /%2f|%5c|%2e/i.test(path) || /\/\.{0,2}\//.test(path);

/** Files that are kept as their gzip, without themselves. */
const PACKED_ALONE = /\.wasm$/;

/** Whether an error says that there is no such file. */
export const isAbsent = (error: unknown): boolean => ABSENT.includes(codeOf(error) ?? '');

export interface StaticOptions {
  /** The headers of a file by its path: also where the answer is only that it has not changed, as browsers keep those of a 304. */
  readonly headers: (path: string) => Readonly<Record<string, string>>;
  /** Whether a large file has its gzip beside it, as `name.gz`; WebAssembly is there as that alone. */
  readonly gzip?: boolean;
}

/**
 * Serves the files of a folder, each looked up anew, as it may be replaced while the server runs. What is no file goes on with the
 * headers that it came with; so does, with a {@link FileError}, what cannot be read.
 */
export function staticFiles(root: string, { headers, gzip = false }: StaticOptions): RequestHandler {
  return async (request, response, next) => {
    if (isDetour(request.path)) return next();
    const path = request.path.endsWith('/') ? `${request.path}index.html` : request.path;
    const own = headers(request.path);
    const attempt = (packed: boolean) => sendFile(request, response, { root, path, headers: own, gzip, packed });
    if (gzip && request.acceptsEncodings('gzip') && (await attempt(true))) return;
    if (await attempt(false)) return;
    if (!gzip || !PACKED_ALONE.test(path) || !(await sendUnpacked(request, response, join(root, path), own))) next();
  };
}

/** Answers who takes no gzip with a file that is there as its gzip alone, without ranges; whether there is one. */
async function sendUnpacked(
  { method }: Request,
  response: Response,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<boolean> {
  const file = createReadStream(`${path}.gz`);
  try {
    await once(file, 'open');
  } catch (error) {
    if (isAbsent(error)) return false;
    throw new FileError(path, error as Error);
  }
  response.set(headers).vary('Accept-Encoding').type(extname(path));
  if (method === 'HEAD') {
    file.destroy();
    response.end();
    return true;
  }
  // Where it breaks off, the connection does: a client sees that it is not whole.
  await pipeline(file, createGunzip(), response).catch(() => response.destroy());
  return true;
}

interface Attempt extends Required<Omit<StaticOptions, 'headers'>> {
  readonly root: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether to answer with the file's gzip. */
  readonly packed: boolean;
}

/** Answers with a file; whether there is one. Rejects with {@link FileError}, and leaves the headers as they were where it does not answer. */
function sendFile(
  request: Request,
  response: Response,
  { root, path, headers, gzip, packed }: Attempt,
): Promise<boolean> {
  const earlier = response.getHeaders();
  const restore = () => {
    for (const name of response.getHeaderNames()) response.removeHeader(name);
    for (const [name, value] of Object.entries(earlier)) if (value !== undefined) response.setHeader(name, value);
    response.status(200);
  };
  return new Promise((resolve, reject) => {
    const onClose = () => resolve(true);
    response.once('close', onClose);
    const goOn = () => {
      restore();
      response.off('close', onClose);
      resolve(false);
    };
    response.set(headers);
    if (gzip) response.vary('Accept-Encoding');
    if (packed) response.type(extname(path)).set('Content-Encoding', 'gzip');
    send(request, packed ? `${path}.gz` : path, { root, index: false, cacheControl: false, ...READ })
      .on('directory', () => goOn())
      .on('stream', (stream: ReadStream) => endWithFile(stream, response))
      .on('error', (error: SendError) => {
        // What is left of the answer will not come: its length tells the client that it is not whole.
        if (response.headersSent) {
          response.destroy();
          return;
        }
        restore();
        if (error.status === 412 || error.status === 416)
          response
            .status(error.status)
            .set(error.headers ?? {})
            .end();
        else if (error.code === undefined || isAbsent(error)) goOn();
        else reject(new FileError(path, error));
      })
      .pipe(response);
  });
}

interface SendError extends NodeJS.ErrnoException {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Hangs up where a file ends before the length that was promised, as one that was cut off meanwhile: the client would wait for the rest. */
function endWithFile(stream: ReadStream, response: Response): void {
  stream.once('end', () => {
    if (stream.bytesRead < Number(response.getHeader('Content-Length'))) response.destroy();
  });
}
