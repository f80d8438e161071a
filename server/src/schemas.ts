import * as z from 'zod';
import type { Limits } from './limits.js';
import { Problem, show, truncate } from './problems.js';

const text = z.string('expected text');
// Not z.array: its elements are looked at one by one, after their number was found to be within the limit.
const list = z.custom<readonly unknown[]>(Array.isArray, 'expected an array');
const anything = z.custom<unknown>((value) => value !== undefined, 'expected a value');

/** The options of `/adapt`, from JSON members or from multipart's text fields. */
export function adaptOptionsSchema(limits: Limits) {
  const steps = `expected a whole number from 0 to ${limits.steps}`;
  const rate = `expected a number above 0 and at most ${limits.rate}`;
  return z.strictObject({
    model: text.optional(),
    pattern: text.optional(),
    steps: z.int(steps).min(0, steps).max(limits.steps, steps).optional(),
    rate: z.number(rate).gt(0, rate).max(limits.rate, rate).optional(),
  });
}

export type AdaptRequestOptions = z.infer<ReturnType<typeof adaptOptionsSchema>>;

export function adaptSchema(limits: Limits) {
  return adaptOptionsSchema(limits).extend({ examples: list });
}

export const exampleSchema = z.strictObject({
  label: text,
  image: text.optional(),
  tensor: anything.optional(),
});

export const predictOptionsSchema = z.strictObject({ profile: text.optional(), model: text.optional() });

export const predictSchema = predictOptionsSchema.extend({
  image: text.optional(),
  tensor: anything.optional(),
  images: list.optional(),
});

export const imageSchema = z.strictObject({ image: text.optional(), tensor: anything.optional() });

export const tensorDataSchema = z.strictObject({ data: text });

/**
 * The value, typed. `field` is the value's own name; empty for a whole body, whose members go by their bare names.
 *
 * @throws {Problem} of the first thing wrong: `missing-input` where a member is absent, else `invalid-input`.
 */
export function check<T>(schema: z.ZodType<T>, value: unknown, field = ''): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue?.code === 'unrecognized_keys') {
    const name = fieldName(field, [...issue.path, truncate(issue.keys[0] ?? '', 60)]);
    throw new Problem('invalid-input', name, `expected ${expectedKeys(schema)}, got an unknown field`);
  }
  const path = issue?.path ?? [];
  const got = valueAt(value, path);
  const name = fieldName(field, path);
  const expected = got !== value ? issue?.message : 'expected an object';
  throw new Problem(got === undefined ? 'missing-input' : 'invalid-input', name, `${expected}, got ${show(got)}`);
}

function expectedKeys(schema: z.ZodType): string {
  return schema instanceof z.ZodObject ? `only ${Object.keys(schema.shape).join(', ')}` : 'known fields';
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const key of path) at = (at as Record<PropertyKey, unknown>)[key];
  return at;
}

function fieldName(field: string, path: readonly PropertyKey[]): string {
  let name = field;
  for (const key of path) {
    if (typeof key === 'number') name += `[${key}]`;
    else name += name === '' ? String(key) : `.${String(key)}`;
  }
  return name === '' ? 'body' : name;
}
