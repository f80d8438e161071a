import type { Request, Response } from 'express';
import { type Form, readForm } from './form-body.js';
import { readJson, tooLarge } from './json-body.js';
import type { Limits } from './limits.js';
import { Problem, show } from './problems.js';

/** A request's body, read and within the limits; what it says is not looked at yet. */
export type Body = { readonly kind: 'json'; readonly value: unknown } | ({ readonly kind: 'form' } & Form);

export interface BodyOptions {
  readonly limits: Limits;
  /** How many files a form may hold. */
  readonly maxFiles: number;
  /** Looks at a file's field name before the file is read; throws to refuse it. */
  readonly checkName?: (name: string, index: number) => void;
}

const JSON_TYPE = 'application/json';
const FORM_TYPE = 'multipart/form-data';

/**
 * Reads a body of JSON or of a form.
 *
 * @throws {Problem} `unsupported-media`, `too-large`, `malformed-request`, or what is wrong with a form's field.
 */
export async function readBody(request: Request, response: Response, options: BodyOptions): Promise<Body> {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  const { bodyBytes } = options.limits;
  if (type !== JSON_TYPE && type !== FORM_TYPE) {
    const got = type === '' ? 'none' : show(type);
    throw new Problem('unsupported-media', 'content-type', `expected ${JSON_TYPE} or ${FORM_TYPE}, got ${got}`);
  }
  const length = request.headers['content-length'];
  if (Number(length ?? 0) > bodyBytes) throw tooLarge(bodyBytes, `${length}`);
  if (type === JSON_TYPE) return { kind: 'json', value: await readJson(request, response, bodyBytes) };
  return { kind: 'form', ...(await readForm(request, response, options)) };
}
