import express, { type Request, type RequestHandler, type Response } from 'express';
import multer, { MulterError } from 'multer';
import type { Limits } from './limits.js';
import { Problem, show } from './problems.js';

/** A request's body, read and within the limits; what it says is not looked at yet. */
export type Body =
  | { readonly kind: 'json'; readonly value: unknown }
  | {
      readonly kind: 'multipart';
      /** Text fields by name; not text where a field is sent twice. */
      readonly fields: Readonly<Record<string, unknown>>;
      /** In the order they were sent. */
      readonly files: readonly UploadedFile[];
    };

export interface UploadedFile {
  /** The name of its form field. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface BodyOptions {
  readonly limits: Limits;
  /** How many files a form may hold. */
  readonly maxFiles: number;
  /** Looks at a file's field name before the file is read; throws to refuse it. */
  readonly checkName?: (name: string, index: number) => void;
}

const JSON_TYPE = 'application/json';
const FORM_TYPE = 'multipart/form-data';
const MAX_TEXT_FIELDS = 16;
const MAX_TEXT_BYTES = 4096;

/**
 * Reads a body of JSON or of a form.
 *
 * @throws {Problem} `unsupported-media`, `too-large`, `malformed-request`, or `invalid-input` of a form's field.
 */
export async function readBody(request: Request, response: Response, options: BodyOptions): Promise<Body> {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  const { bodyBytes } = options.limits;
  if (type !== JSON_TYPE && type !== FORM_TYPE) {
    const got = type === '' ? 'none' : show(type);
    throw new Problem('unsupported-media', 'content-type', `expected ${JSON_TYPE} or ${FORM_TYPE}, got ${got}`);
  }
  const length = Number(request.headers['content-length'] ?? 0);
  if (length > bodyBytes) throw tooLarge(bodyBytes, `${length}`);
  if (type === JSON_TYPE) {
    await run(express.json({ limit: bodyBytes, strict: false, type: () => true }), request, response, (error) =>
      jsonProblem(error, bodyBytes),
    );
    return { kind: 'json', value: request.body };
  }
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw new Problem('unsupported-media', 'content-encoding', `expected a form as it is, got ${show(encoding)}`);
  }
  await run(formParser(options), request, response, (error) => formProblem(error, options));
  const files = (request.files ?? []) as Express.Multer.File[];
  return {
    kind: 'multipart',
    fields: request.body as Record<string, unknown>,
    files: files.map(({ fieldname, buffer }) => ({ name: fieldname, bytes: buffer })),
  };
}

/** A form's fields with `names` turned into numbers where they are spelt as one. */
export function withNumbers(fields: Readonly<Record<string, unknown>>, names: readonly string[]): unknown {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      const isNumber = typeof value === 'string' && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value.trim());
      return [name, isNumber && names.includes(name) ? Number(value) : value];
    }),
  );
}

function run(
  parse: RequestHandler,
  request: Request,
  response: Response,
  toProblem: (error: unknown) => Problem,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: unknown) => reject(error instanceof Problem ? error : toProblem(error));
    try {
      // Both parsers answer through the callback; what they might return is of no use.
      void parse(request, response, (error?: unknown) => (error === undefined ? resolve() : refuse(error)));
    } catch (error) {
      refuse(error);
    }
  });
}

function formParser({ limits, maxFiles, checkName }: BodyOptions): RequestHandler {
  let files = 0;
  let bytes = 0;
  return multer({
    // Labels are field names, and people write them in every script.
    defParamCharset: 'utf8',
    limits: {
      files: maxFiles,
      fields: MAX_TEXT_FIELDS,
      fieldSize: MAX_TEXT_BYTES,
      fieldNestingDepth: 0,
    },
    fileFilter(_request, file, accept) {
      try {
        checkName?.(file.fieldname, files++);
        accept(null, true);
      } catch (error) {
        accept(error as Error);
      }
    },
    // Bounds the files of a request together, which multer's own limits do not.
    storage: {
      _handleFile(_request, file, done) {
        const chunks: Buffer[] = [];
        file.stream.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes <= limits.bodyBytes) chunks.push(chunk);
          else chunks.length = 0;
        });
        file.stream.on('error', done);
        file.stream.on('end', () => {
          if (bytes > limits.bodyBytes) done(tooLarge(limits.bodyBytes, 'more'));
          else done(null, { buffer: Buffer.concat(chunks) });
        });
      },
      _removeFile(_request, _file, done) {
        done(null);
      },
    },
  }).any();
}

function tooLarge(bodyBytes: number, got: string): Problem {
  return new Problem('too-large', 'body', `expected at most ${bodyBytes} bytes, got ${got}`);
}

function jsonProblem(error: unknown, bodyBytes: number): Problem {
  const { type } = error as { type?: unknown };
  const message = error instanceof Error ? error.message : String(error);
  if (type === 'entity.too.large') return tooLarge(bodyBytes, 'more');
  if (type === 'charset.unsupported') {
    return new Problem('unsupported-media', 'content-type', `expected charset utf-8, got ${message}`);
  }
  if (type === 'encoding.unsupported') {
    return new Problem('unsupported-media', 'content-encoding', `expected gzip, deflate, br or none, got ${message}`);
  }
  return new Problem('malformed-request', 'body', `expected JSON, got ${message}`);
}

function formProblem(error: unknown, { maxFiles }: BodyOptions): Problem {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof MulterError)) {
    return new Problem('malformed-request', 'body', `expected a whole ${FORM_TYPE} body, got ${message}`);
  }
  const field = error.field ?? 'body';
  switch (String(error.code)) {
    case 'LIMIT_FILE_COUNT':
      return new Problem('too-large', 'body', `expected at most ${maxFiles} files, got more`);
    case 'LIMIT_FIELD_COUNT':
      return new Problem('too-large', 'body', `expected at most ${MAX_TEXT_FIELDS} text fields, got more`);
    case 'LIMIT_FIELD_VALUE':
      return new Problem('invalid-input', field, `expected a text of at most ${MAX_TEXT_BYTES} bytes, got more`);
    case 'MISSING_FIELD_NAME':
      return new Problem('missing-input', 'body', 'expected a name for each field, got a field without one');
    default:
      return new Problem('invalid-input', field, `expected a form field's name, got ${show(field)}: ${message}`);
  }
}
