import express, { type Request, type Response } from 'express';
import { Problem, show } from '../problems.js';
import { runParser } from './parser.js';

/** How deep arrays and objects may stand in each other; a request needs 4. */
const MAX_DEPTH = 16;
/** How many arrays and objects, and how many texts and names, in all or, where that is more, of each image; a request has 2 and 5. */
const VALUES = { least: 20_000, perImage: 4 };
const TEXTS = { least: 60_000, perImage: 10 };

/**
 * The value of a JSON body, `undefined` of an empty one.
 *
 * @throws {Problem} `unsupported-media`, `too-large` or `malformed-request`.
 */
export async function readJson(
  request: Request,
  response: Response,
  bodyBytes: number,
  maxImages: number,
): Promise<unknown> {
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(request.headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
    throw new Problem('unsupported-media', 'content-type', `expected charset utf-8, got ${show(charset)}`);
  }
  // Not express.json, which puts up with bytes that are not UTF-8 and with brackets without end.
  await runParser(express.raw({ limit: bodyBytes, type: () => true }), request, response, (error) =>
    bodyProblem(error, bodyBytes),
  );
  const body: unknown = request.body;
  if (!Buffer.isBuffer(body) || body.length === 0) return undefined;
  checkStructure(body, maxImages);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (error) {
    throw malformed((error as Error).message);
  }
}

// JSON.parse takes seconds over megabytes of brackets or names, and nobody else is served meanwhile. A few kilobytes of
// gzip are enough to send them.
function checkStructure(bytes: Uint8Array, maxImages: number): void {
  const [maxValues, maxTexts] = [VALUES, TEXTS].map(({ least, perImage }) => Math.max(least, perImage * maxImages)) as [
    number,
    number,
  ];
  let [depth, values, texts] = [0, 0, 0];
  let quoted = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (quoted) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) quoted = false;
    } else if (byte === 0x22) {
      quoted = true;
      if (++texts > maxTexts) throw tooMany(maxTexts, 'texts and names');
    } else if (byte === 0x5b || byte === 0x7b) {
      depth++;
      if (depth > MAX_DEPTH) throw malformed(`arrays or objects more than ${MAX_DEPTH} deep`);
      if (++values > maxValues) throw tooMany(maxValues, 'arrays and objects');
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
}

function malformed(got: string): Problem {
  return new Problem('malformed-request', 'body', `expected JSON in UTF-8, got ${got}`);
}

const tooMany = (most: number, what: string) =>
  new Problem('too-large', 'body', `expected at most ${most} ${what}, got more`);

function bodyProblem(error: unknown, bodyBytes: number): Problem {
  const { type } = error as { type?: unknown };
  const message = error instanceof Error ? error.message : String(error);
  if (type === 'entity.too.large') return tooLarge(bodyBytes, 'more');
  if (type === 'encoding.unsupported') {
    return new Problem('unsupported-media', 'content-encoding', `expected gzip, deflate, br or none, got ${message}`);
  }
  return malformed(message);
}

/** The refusal of a body over the limit. */
export function tooLarge(bodyBytes: number, got: string): Problem {
  return new Problem('too-large', 'body', `expected at most ${bodyBytes} bytes, got ${got}`);
}
