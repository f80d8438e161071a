import type { Request, Response } from 'express';
import { Problem, show } from '../problems.js';
import type { BodyOptions } from './body-options.js';
import type { Payloads } from './json-images.js';
import type { JsonReader } from './json-reader.js';
import { jsonLimits, malformed } from './parse-json.js';
import { receiveBytes } from './receive.js';

export interface JsonOptions extends BodyOptions {
  readonly json: JsonReader;
  /** Images that a request may have, and the most numbers of one. */
  readonly maxFiles: number;
  readonly imageLength: number;
}

export interface JsonBody {
  /** Without its images; `undefined` of an empty body. */
  readonly value: unknown;
  readonly payloads: Payloads;
}

/**
 * The value of a JSON body and its images.
 *
 * @throws {Problem} `unsupported-media`, `too-large`, `busy` or `malformed-request`.
 */
export async function readJson(request: Request, response: Response, options: JsonOptions): Promise<JsonBody> {
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(request.headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
    throw new Problem('unsupported-media', 'content-type', `expected charset utf-8, got ${show(charset)}`);
  }
  const body = await receiveBytes(request, response, { ...options, compressed: true, malformed });
  if (body.length === 0) return { value: undefined, payloads: new Map() };
  const { json, maxFiles, imageLength, limits } = options;
  const parsed = await json.parse(body, jsonLimits(maxFiles, imageLength, limits.bodyBytes));
  if (parsed.kind === 'refused') throw new Problem(parsed.problem, 'body', parsed.detail);
  return { value: parsed.value, payloads: parsed.payloads };
}
