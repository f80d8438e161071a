import type { Writable } from 'node:stream';
import type { Request, RequestHandler, Response } from 'express';
import multer, { MulterError } from 'multer';
import { Problem, show } from '../problems.js';
import type { BodyOptions } from './body-options.js';
import { discard } from './discard.js';
import { runParser } from './parser.js';
import { receive, waitFor } from './receive.js';

export interface Form {
  /** Text fields by name; not text where a field is sent twice. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** In the order they were sent. */
  readonly files: readonly UploadedFile[];
}

export interface FormOptions extends BodyOptions {
  /** How many files a form may hold. */
  readonly maxFiles: number;
  /** Looks at a file's field name before the file is read; throws to refuse it. */
  readonly checkName?: (name: string, index: number) => void;
}

export interface UploadedFile {
  /** The name of its form field. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

const MAX_TEXT_FIELDS = 16;
const MAX_TEXT_BYTES = 4096;

/**
 * The texts and files of a multipart/form-data body.
 *
 * @throws {Problem} `unsupported-media`, `too-large`, `malformed-request`, `missing-input` or `invalid-input`.
 */
export async function readForm(request: Request, response: Response, options: FormOptions): Promise<Form> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw new Problem('unsupported-media', 'content-encoding', `expected a form as it is, got ${show(encoding)}`);
  }
  await receive(request, response, options, (take, signal) => {
    const chunks: Buffer[] = [];
    // The parser has copied the files out of them, or makes none any more.
    const letGo = () => discard(chunks.splice(0));
    signal.addEventListener('abort', letGo);
    const feed = (busboy: Writable) => {
      // A parser that has failed has no listeners; what is left of the body is counted only.
      const isRead = () => busboy.listenerCount('file') > 0;
      request.on('data', (chunk: Buffer) => {
        if (signal.aborted) return;
        // All of it, also what stands before the first part and what the parser passes over.
        waitFor(request, take(chunk), signal);
        // It keeps up: parts go to memory.
        if (isRead()) busboy.write(chunk);
        if (!signal.aborted) chunks.push(chunk);
      });
      request.once('end', () => isRead() && busboy.end());
    };
    const parsed = runParser(formParser(options, feed), request, response, (error) => formProblem(error, options));
    return parsed.finally(letGo);
  });
  // A content type that the parser does not take for a form's after all, such as one with a boundary that is none.
  if (request.body === undefined) throw formProblem(new Error('a header that cannot be read'), options);
  const files = (request.files ?? []) as Express.Multer.File[];
  return {
    fields: request.body as Record<string, unknown>,
    files: files.map(({ fieldname, buffer }) => ({ name: fieldname, bytes: buffer })),
  };
}

/** A form's fields with `names` turned into numbers where they are spelt as one. */
export function withNumbers(fields: Readonly<Record<string, unknown>>, names: readonly string[]): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      const isNumber = typeof value === 'string' && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value.trim());
      return [name, isNumber && names.includes(name) ? Number(value) : value];
    }),
  );
}

/** A form's fields with `names` turned into booleans where they are spelt as one. */
export function withBooleans(fields: object, names: readonly string[]): unknown {
  const spelt = new Map<unknown, boolean>([
    ['true', true],
    ['false', false],
  ]);
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, names.includes(name) ? (spelt.get(value) ?? value) : value]),
  );
}

function formParser({ maxFiles, checkName }: FormOptions, feed: (parser: Writable) => void): RequestHandler {
  let files = 0;
  const options: multer.Options & { readonly streamHandler: (request: unknown, parser: Writable) => void } = {
    // Labels are field names, and people write them in every script.
    defParamCharset: 'utf8',
    limits: {
      files: maxFiles,
      fields: MAX_TEXT_FIELDS,
      // Parts that are neither, too: the parser passes over them.
      parts: maxFiles + MAX_TEXT_FIELDS,
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
    storage: multer.memoryStorage(),
    streamHandler: (_request, parser) => feed(parser),
  };
  return multer(options).any();
}

function formProblem(error: unknown, { maxFiles }: FormOptions): Problem {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof MulterError)) {
    return new Problem('malformed-request', 'body', `expected a whole multipart/form-data body, got ${message}`);
  }
  const field = error.field ?? 'body';
  switch (String(error.code)) {
    case 'LIMIT_FILE_COUNT':
      return new Problem('too-large', 'body', `expected at most ${maxFiles} files, got more`);
    case 'LIMIT_PART_COUNT':
      return new Problem('too-large', 'body', `expected at most ${maxFiles + MAX_TEXT_FIELDS} parts, got more`);
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
