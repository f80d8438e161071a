import type { Request, Response } from 'express';
import { Problem, show } from '../problems.js';
import { abortedBy, ownerOf } from '../service.js';
import type { BodyOptions } from './body-options.js';
import type { Payloads } from './json-images.js';
import type { JsonReader } from './json-reader.js';
import { malformed } from './malformed.js';
import { encodings, isEncoding, jsonLimits } from './parse-json.js';
import { growBody, receiveBytes } from './receive.js';

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
  const encoding = request.headers['content-encoding']?.toLowerCase() ?? 'identity';
  if (!isEncoding(encoding)) {
    const expected = `expected ${encodings.join(', ')} or none`;
    throw new Problem('unsupported-media', 'content-encoding', `${expected}, got ${show(encoding)}`);
  }
  const bytes = await receiveBytes(request, response, options, malformed);
  if (bytes.length === 0) return { value: undefined, payloads: new Map() };
  const { json, maxFiles, imageLength } = options;
  const limits = jsonLimits(maxFiles, imageLength, options.limits.bodyBytes);
  const { length } = bytes;
  const parsed = await json.parse(ownerOf(request, response), { bytes, encoding, limits }, abortedBy(response));
  if (parsed.kind === 'refused') throw new Problem(parsed.problem, parsed.field, parsed.detail);
  growBody(response, Math.max(0, parsed.bytes - length));
  return { value: parsed.value, payloads: parsed.payloads };
}
