// What JSON from outside has to be: schemas that are JSON Schema (2020-12, of which they use the keywords below), so that whatever knows that
// reads them too, with the type of what fits them.

declare const TYPE: unique symbol;
const CHECK: unique symbol = Symbol('check');

export interface Schema<T = unknown> {
  readonly type?: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null';
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | false;
  readonly propertyNames?: Schema;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
  /** What JSON Schema cannot say, as code: what was expected, where a value that fits the rest does not. */
  readonly [CHECK]?: (value: never) => string | undefined;
  readonly [TYPE]?: T;
}

/** A field that may be absent. */
interface Optional<T> {
  readonly optional: Schema<T>;
}

export type TypeOf<S> = S extends Schema<infer T> ? T : never;
type Fields = Readonly<Record<string, Schema | Optional<unknown>>>;
type Flat<T> = { [K in keyof T]: T[K] };
type ObjectOf<F extends Fields> = Flat<
  { -readonly [K in keyof F as F[K] extends Optional<unknown> ? never : K]: TypeOf<F[K]> } & {
    -readonly [K in keyof F as F[K] extends Optional<unknown> ? K : never]?:
      | (F[K] extends Optional<infer T> ? T : never)
      | undefined;
  }
>;
type Bounds = Pick<Schema, 'minimum' | 'exclusiveMinimum' | 'maximum' | 'exclusiveMaximum'>;

export const text = (pattern?: RegExp): Schema<string> => ({
  type: 'string',
  ...(pattern ? { pattern: pattern.source } : {}),
});
export const flag: Schema<boolean> = { type: 'boolean' };
export const number = (bounds: Bounds = {}): Schema<number> => ({ type: 'number', ...bounds });
export const whole = (bounds: Bounds = {}): Schema<number> => ({ type: 'integer', ...bounds });
/** A whole number above 0. */
export const positive: Schema<number> = whole({ exclusiveMinimum: 0 });
export const anything: Schema<unknown> = {};
export const oneOf = <const T extends readonly string[]>(names: T): Schema<T[number]> => ({ enum: names });
export const list = <T>(items: Schema<T>, length: Pick<Schema, 'minItems' | 'maxItems'> = {}): Schema<T[]> => ({
  type: 'array',
  items,
  ...length,
});
export const either = <A, B>(one: Schema<A>, other: Schema<B>): Schema<A | B> => ({ anyOf: [one, other] });
export const orNull = <T>(schema: Schema<T>): Schema<T | null> => either(schema, { type: 'null' });
/** Any names that fit, each with a value that does. */
export const byName = <T>(propertyNames: Schema<string>, values: Schema<T>): Schema<Record<string, T>> => ({
  type: 'object',
  propertyNames,
  additionalProperties: values,
});
export const optional = <T>(schema: Schema<T>): Optional<T> => ({ optional: schema });

export function fields<const F extends Fields>(all: F): Schema<ObjectOf<F>> {
  const entries = Object.entries(all);
  return {
    type: 'object',
    properties: Object.fromEntries(
      entries.map(([name, field]) => [name, 'optional' in field ? field.optional : (field as Schema)]),
    ),
    required: entries.filter(([, field]) => !('optional' in field)).map(([name]) => name),
  };
}
/** These fields and no others. */
export const onlyFields = <const F extends Fields>(all: F): Schema<ObjectOf<F>> => ({
  ...fields(all),
  additionalProperties: false,
});
export const checked = <T>(schema: Schema<T>, check: (value: T) => string | undefined): Schema<T> => ({
  ...schema,
  [CHECK]: check,
});

/** Of what is infinite or no number, as `1e400` is read, none that a schema has. */
function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'number' && !Number.isFinite(value)) return `${value}`;
  return Array.isArray(value) ? 'array' : Number.isSafeInteger(value) ? 'integer' : typeof value;
}
const shown = (value: unknown): string =>
  value === undefined ? 'nothing' : (typeof value === 'number' ? `${value}` : JSON.stringify(value)).slice(0, 100);
const KINDS = {
  object: 'an object',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  null: 'null',
};

/** What is expected of a value by itself, where it does not fit. */
function expectedOf(schema: Schema, value: unknown): string | undefined {
  const { type, enum: names, pattern, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
  const kind = kindOf(value);
  if (type && kind !== type && !(type === 'number' && kind === 'integer')) return KINDS[type];
  if (names && !names.includes(value)) return `${names.length > 1 ? 'one of ' : ''}${names.map(shown).join(', ')}`;
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value as string)) return `a text like /${pattern}/`;
  if (Array.isArray(value) && (value.length < minItems || value.length > maxItems)) {
    return value.length < minItems ? `${minItems} or more` : `at most ${maxItems}`;
  }
  const bounds = [
    ['minimum', 'of at least', (bound: number, at: number) => at >= bound],
    ['exclusiveMinimum', 'above', (bound: number, at: number) => at > bound],
    ['maximum', 'of at most', (bound: number, at: number) => at <= bound],
    ['exclusiveMaximum', 'below', (bound: number, at: number) => at < bound],
  ] as const;
  for (const [name, words, holds] of bounds) {
    const bound = schema[name];
    if (bound !== undefined && !holds(bound, value as number)) return `a number ${words} ${bound}`;
  }
  return undefined;
}

/** The first of a value that does not fit: where (`patterns.head.steps`), what was expected and what came; undefined where all fits. */
export function mismatchOf(schema: Schema, value: unknown, at: readonly string[] = []): string | undefined {
  const where = at.length > 0 ? `${at.join('.')}: ` : '';
  const expected = expectedOf(schema, value);
  if (expected) return `${where}expected ${expected}, got ${shown(value)}`;
  const { properties = {}, required = [], additionalProperties: others, propertyNames, items, anyOf } = schema;
  if (anyOf?.every((one) => mismatchOf(one, value) !== undefined)) {
    // What it comes nearest to is told of: of two objects, that whose fields are there.
    const isNear = ({ type, required: named = [] }: Schema) =>
      type === kindOf(value) && named.every((name) => Object.hasOwn(value as object, name));
    return mismatchOf(anyOf.find(isNear) ?? (anyOf[0] as Schema), value, at);
  }
  if (schema.type === 'object') {
    const own = value as Readonly<Record<string, unknown>>;
    const missing = required.find((name) => own[name] === undefined);
    if (missing !== undefined) {
      const needed = expectedOf(properties[missing] as Schema, undefined) ?? 'a value';
      return `${[...at, missing].join('.')}: expected ${needed}, got nothing`;
    }
    for (const [name, part] of Object.entries(own)) {
      if (part === undefined) continue;
      const path = [...at, name];
      const field = Object.hasOwn(properties, name) ? properties[name] : others;
      if (field === false) {
        return `${path.join('.')}: expected no field but ${Object.keys(properties).join(', ')}, got one more`;
      }
      const problem =
        (propertyNames && mismatchOf(propertyNames, name, path)) ?? (field && mismatchOf(field, part, path));
      if (problem) return problem;
    }
  }
  if (items) {
    for (const [i, item] of (value as readonly unknown[]).entries()) {
      const problem = mismatchOf(items, item, [...at, String(i)]);
      if (problem) return problem;
    }
  }
  const other = schema[CHECK]?.(value as never);
  return other === undefined ? undefined : where + other;
}
