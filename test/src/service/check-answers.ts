import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

// Every answer that a test gets from a service is compared with the service's own OpenAPI document.

interface Answer {
  readonly headers?: Readonly<Record<string, { readonly required?: boolean }>>;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}

interface Document {
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly responses: Readonly<Record<string, Answer>> }>>>
  >;
}

class Checker {
  readonly #ajv: Ajv2020;
  readonly #validators = new Map<string, ValidateFunction>();

  constructor(private readonly document: Document) {
    this.#ajv = new Ajv2020({ strict: false, allErrors: false, formats: { binary: true } });
    (formats as unknown as (ajv: Ajv2020) => void)(this.#ajv);
    this.#ajv.addSchema({ ...document, $id: 'openapi' });
  }

  /** Throws where an answer is not one that the document promises. */
  async check(method: string, pathname: string, response: Response): Promise<void> {
    const path = this.#pathOf(pathname);
    const where = `${method} ${path ?? pathname}: ${response.status}`;
    const operation = path === undefined ? undefined : this.document.paths[path]?.[method.toLowerCase()];
    const type = response.headers.get('content-type')?.split(';', 1)[0] ?? '';
    if (!response.headers.has('server-timing')) throw new Error(`${where}: no Server-Timing`);
    if (!operation) {
      // A file of the page, which is no part of the API.
      if (method === 'GET' && response.ok && (!type.endsWith('json') || pathname.startsWith('/bundles/'))) return;
      // A condition or a part that was asked for and does not fit the file: told by the status alone.
      if (method === 'GET' && [412, 416].includes(response.status)) return;
      // Of a path or a method that is not there, only a problem is promised.
      if (response.status === 204 && method === 'OPTIONS') return;
      if (method === 'HEAD') return;
      if (response.status >= 400 && type === 'application/problem+json') {
        this.#validate('/components/schemas/Problem', await response.clone().json(), where);
        return;
      }
      throw new Error(`${where}: the document has no such operation`);
    }
    const answer = operation.responses[`${response.status}`];
    if (!answer) throw new Error(`${where}: the document has only ${Object.keys(operation.responses).join(', ')}`);
    for (const [name, { required }] of Object.entries(answer.headers ?? {})) {
      if (required && !response.headers.has(name)) throw new Error(`${where}: no header ${name}`);
    }
    const promised = Object.keys(answer.content ?? {});
    if (promised.length === 0 && type === '') return;
    if (!promised.includes(type)) throw new Error(`${where}: expected ${promised.join(' or ')}, got "${type}"`);
    if (!type.endsWith('json')) return;
    const pointer = [
      'paths',
      path as string,
      method.toLowerCase(),
      'responses',
      `${response.status}`,
      'content',
      type,
      'schema',
    ];
    const escaped = pointer.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1'));
    this.#validate(`/${escaped.map(encodeURIComponent).join('/')}`, await response.clone().json(), where);
  }

  #pathOf(pathname: string): string | undefined {
    return Object.keys(this.document.paths).find((path) => {
      const parts = path.split('/');
      const given = pathname.replace(/(?<=.)\/$/, '').split('/');
      return parts.length === given.length && parts.every((part, i) => part.startsWith('{') || part === given[i]);
    });
  }

  #validate(pointer: string, value: unknown, where: string): void {
    const validate = this.#validators.get(pointer) ?? this.#ajv.compile({ $ref: `openapi#${pointer}` });
    this.#validators.set(pointer, validate);
    if (validate(value)) return;
    throw new Error(`${where}: ${this.#ajv.errorsText(validate.errors)}: ${JSON.stringify(value).slice(0, 1000)}`);
  }
}

const checkers = new Map<string, Checker>();
/** By the text of their documents: what is compiled of one is of use for every service that has the same. */
const compiled = new Map<string, Checker>();
const plainFetch = globalThis.fetch;
let checked = 0;

/** How many answers were compared. */
export const checkedAnswers = () => checked;

/** Compares all answers from `url` from now on, until the function it gives back is called. */
export async function checkAnswersOf(url: string): Promise<() => void> {
  const text = await (await plainFetch(`${url}/openapi.json`)).text();
  const checker = compiled.get(text) ?? new Checker(JSON.parse(text) as Document);
  compiled.set(text, checker);
  checkers.set(url, checker);
  return () => checkers.delete(url);
}

/** Compares an answer with the document of the service that gave it, where that is looked after. */
export async function checkAnswer(origin: string, method: string, path: string, response: Response): Promise<void> {
  const checker = checkers.get(origin);
  if (!checker) return;
  await checker.check(method, path, response);
  checked++;
}

globalThis.fetch = async (input, init) => {
  const response = await plainFetch(input, init);
  const request = typeof input === 'string' || input instanceof URL ? undefined : input;
  const { origin, pathname } = new URL(request?.url ?? String(input));
  await checkAnswer(origin, init?.method ?? request?.method ?? 'GET', pathname, response);
  return response;
};
