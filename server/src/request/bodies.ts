import express, { type Request, type Response } from 'express';
import type { Limits } from '../limits.js';
import { Problem, show } from '../problems.js';
import type { BodyOptions } from './body-options.js';
import { type Form, readForm } from './form-body.js';
import { readJson, tooLarge } from './json-body.js';
import { runParser } from './parser.js';

/** A request's body, read and within the limits; what it says is not looked at yet. */
export type Body = { readonly kind: 'json'; readonly value: unknown } | ({ readonly kind: 'form' } & Form);

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
export async function readBody(request: Request, response: Response, options: BodyOptions): Promise<Body> {
  const type = typeOf(request);
  const { bodyBytes } = options.limits;
  if (type !== JSON_TYPE && type !== FORM_TYPE) {
    const got = type === '' ? 'none' : show(type);
    throw new Problem('unsupported-media', 'content-type', `expected ${JSON_TYPE} or ${FORM_TYPE}, got ${got}`);
  }
  checkLength(request, bodyBytes);
  if (type === JSON_TYPE)
    return { kind: 'json', value: await readJson(request, response, bodyBytes, options.maxFiles) };
  return { kind: 'form', ...(await readForm(request, response, options)) };
}

/**
 * Reads a body of bytes.
 *
 * @throws {Problem} `unsupported-media`, `too-large` or `malformed-request`.
 */
export async function readBytes(request: Request, response: Response, { bodyBytes }: Limits): Promise<Uint8Array> {
  const type = typeOf(request);
  if (type !== BYTES_TYPE) {
    throw new Problem('unsupported-media', 'content-type', `expected ${BYTES_TYPE}, got ${show(type || undefined)}`);
  }
  checkLength(request, bodyBytes);
  const parser = express.raw({ limit: bodyBytes, inflate: false, type: () => true });
  await runParser(parser, request, response, (error) => {
    const { type: reason, message } = error as { type?: unknown; message?: string };
    if (reason === 'entity.too.large') return tooLarge(bodyBytes, 'more');
    if (reason === 'encoding.unsupported') {
      return new Problem('unsupported-media', 'content-encoding', 'expected bytes as they are, got an encoding');
    }
    return new Problem('malformed-request', 'body', `expected a whole body, got ${message}`);
  });
  return Buffer.isBuffer(request.body) ? request.body : new Uint8Array();
}

function checkLength(request: Request, bodyBytes: number): void {
  const length = request.headers['content-length'];
  if (Number(length ?? 0) > bodyBytes) throw tooLarge(bodyBytes, `${length}`);
}
