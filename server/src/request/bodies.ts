import type { Request, Response } from 'express';
import { Problem, show } from '../problems.js';
import type { BodyOptions } from './body-options.js';
import { type Form, type FormOptions, readForm } from './form-body.js';
import { type JsonBody, type JsonOptions, readJson } from './json-body.js';
import { receiveBytes } from './receive.js';

/** A request's body, read and within the limits; what it says is not looked at yet. */
export type Body = ({ readonly kind: 'json' } & JsonBody) | ({ readonly kind: 'form' } & Form);

const JSON_TYPE = 'application/json';
const FORM_TYPE = 'multipart/form-data';
export const BYTES_TYPE = 'application/octet-stream';

/** The media type that a request says its body has, without parameters; empty where it says none. */
export function typeOf(request: Request): string {
  return (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/**
 * Reads a body of JSON or of a form.
 *
 * @throws {Problem} `unsupported-media`, `too-large`, `malformed-request`, or what is wrong with a form's field.
 */
export async function readBody(
  request: Request,
  response: Response,
  options: JsonOptions & FormOptions,
): Promise<Body> {
  const type = typeOf(request);
  if (type !== JSON_TYPE && type !== FORM_TYPE) {
    const got = type === '' ? 'none' : show(type);
    throw new Problem('unsupported-media', 'content-type', `expected ${JSON_TYPE} or ${FORM_TYPE}, got ${got}`);
  }
  if (type === JSON_TYPE) return { kind: 'json', ...(await readJson(request, response, options)) };
  return { kind: 'form', ...(await readForm(request, response, options)) };
}

/**
 * Reads a body of bytes.
 *
 * @throws {Problem} `unsupported-media`, `too-large` or `malformed-request`.
 */
export async function readBytes(request: Request, response: Response, options: BodyOptions): Promise<Uint8Array> {
  const type = typeOf(request);
  if (type !== BYTES_TYPE) {
    throw new Problem('unsupported-media', 'content-type', `expected ${BYTES_TYPE}, got ${show(type || undefined)}`);
  }
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw new Problem('unsupported-media', 'content-encoding', `expected bytes as they are, got ${show(encoding)}`);
  }
  const malformed = (got: string) => new Problem('malformed-request', 'body', `expected a whole body, got ${got}`);
  return receiveBytes(request, response, options, malformed);
}
