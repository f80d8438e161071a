import { InputError, ProfileError } from '@whet/runtime';
import { EngineError } from './engine/engine.js';
import { FileError } from './routes/static-files.js';
import { isShortage } from './shortage.js';
import { StoreFullError, StoreUnavailableError, VersionConflictError } from './stores/contract.js';

export const kinds = {
  'malformed-request': { status: 400, title: 'The request cannot be read' },
  'missing-input': { status: 400, title: 'Something required is missing' },
  unauthorized: { status: 401, title: 'An API key is needed' },
  forbidden: { status: 403, title: 'The API key does not allow this' },
  'foreign-origin': { status: 403, title: 'Pages of another origin may not call' },
  unreadable: { status: 403, title: 'The file may not be read' },
  'not-found': { status: 404, title: 'Not found' },
  'method-not-allowed': { status: 405, title: 'Method not allowed' },
  timeout: { status: 408, title: 'The request took too long to arrive' },
  'profile-mismatch': { status: 409, title: 'The profile does not fit its model' },
  'version-conflict': { status: 409, title: 'The profile has changed' },
  'too-large': { status: 413, title: 'The request is too large' },
  'unsupported-media': { status: 415, title: 'Unsupported media type' },
  misdirected: { status: 421, title: 'The request is for another host' },
  'invalid-input': { status: 422, title: 'Invalid input' },
  busy: { status: 429, title: 'Too many requests' },
  'internal-error': { status: 500, title: 'Internal error' },
  unavailable: { status: 503, title: 'Unavailable' },
  deadline: { status: 503, title: 'It would take too long' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemKind = keyof typeof kinds;

/** A refusal as RFC 9457 writes it; `field` is Whet's extension member and names what to mend. */
export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly field: string;
  /** Of a `version-conflict`: the version that is stored; absent where there is no such profile any more. */
  readonly current?: number;
}

const MAX_DETAIL = 600;

/** A request that is refused. `field` names the input, as in `examples[3].image`; `detail` what was expected and got. */
export class Problem extends Error {
  override readonly name = 'Problem';
  constructor(
    readonly kind: ProblemKind,
    readonly field: string,
    detail: string,
    readonly headers: Readonly<Record<string, string>> = {},
    /** Of a `version-conflict`. */
    readonly current?: number,
  ) {
    super(detail.startsWith(`${field}: `) ? detail : `${field}: ${detail}`);
  }

  get status(): number {
    return kinds[this.kind].status;
  }

  toBody(): ProblemBody {
    const { status, title } = kinds[this.kind];
    return {
      type: `/problems/${this.kind}`,
      title,
      status,
      detail: truncate(this.message, MAX_DETAIL),
      field: truncate(this.field, 200),
      ...(this.current === undefined ? {} : { current: this.current }),
    };
  }
}

/** The refusal that an error stands for; anything unforeseen becomes an `internal-error` that tells nothing more. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof InputError) return new Problem('invalid-input', error.field, error.message);
  if (error instanceof VersionConflictError) {
    return new Problem('version-conflict', 'version', error.message, {}, error.current);
  }
  if (error instanceof StoreFullError) return new Problem('too-large', 'profile', error.message);
  if (error instanceof StoreUnavailableError) {
    const detail = 'expected a store that answers, got none; try again soon';
    return new Problem('unavailable', 'request', detail, { 'Retry-After': '2' });
  }
  if (error instanceof EngineError) {
    const detail = 'expected an engine that answers, got none; try again soon';
    return new Problem('unavailable', 'request', detail, { 'Retry-After': '2' });
  }
  if (error instanceof FileError) {
    if (error.isForbidden)
      return new Problem('unreadable', 'path', 'expected a file that this service may read, got one that it may not');
    return new Problem('unavailable', 'path', 'expected a file that can be opened, got an error; try again soon', {
      'Retry-After': '2',
    });
  }
  if (error instanceof ProfileError) return new Problem('profile-mismatch', 'profile', error.message);
  if (isShortage(error)) {
    const detail = 'expected a server with files, threads and memory left, got one without; try again soon';
    return new Problem('unavailable', 'request', detail, { 'Retry-After': '2' });
  }
  // Express's router, of a parameter in the path.
  if (error instanceof URIError) {
    return new Problem('malformed-request', 'path', 'expected percent-encoding of UTF-8, got what cannot be decoded');
  }
  return new Problem('internal-error', 'request', 'expected an answer, got an error inside the server');
}

/** A value as an error message shows it: short, whatever was sent. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(truncate(value, 60));
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}

/** At most `length` characters of a text, and how long it was. */
export function truncate(text: string, length: number): string {
  if (text.length <= length) return text;
  return `${text.slice(0, length)}... (${text.length} characters)`;
}
