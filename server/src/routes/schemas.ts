import * as z from 'zod';
import type { Limits } from '../limits.js';
import { Problem, show, truncate } from '../problems.js';

const text = z.string('expected text');

/** A list whose elements are looked at one by one, after their number was found to be within the limit. */
function listOf(items: string, description: string) {
  return z.custom<readonly unknown[]>(Array.isArray, 'expected an array').meta({
    description,
    override: { type: 'array', items: { $ref: `#/components/schemas/${items}` } },
  });
}

const tensor = z
  .custom<unknown>((value) => value !== undefined, 'expected a value')
  .meta({
    description:
      'A preprocessed image, `[C, H, W]` row by row: numbers, or their little-endian float32 bytes in base64.',
    override: {
      oneOf: [
        { type: 'array', items: { type: 'number' } },
        {
          type: 'object',
          properties: { data: { type: 'string', contentEncoding: 'base64' } },
          required: ['data'],
          additionalProperties: false,
        },
      ],
    },
  });

const image = text.meta({
  description: 'A PNG, JPEG or WebP file in base64, padded and without line breaks, or as a data URL.',
});

/** The options of `/adapt`, from JSON members or from multipart's text fields. */
export function adaptOptionsSchema(limits: Limits) {
  const steps = `expected a whole number from 0 to ${limits.steps}`;
  const rate = `expected a number above 0 and at most ${limits.rate}`;
  const version = 'expected a whole number of 1 or more';
  const budget = 'expected milliseconds, 0 or more';
  const remember = 'expected a whole number of 0 or more';
  const anchor = 'expected a number of 0 or more and below 1';
  return z.strictObject({
    model: text.optional().meta({ description: 'Name of a bundle; the first when absent.' }),
    pattern: text.optional().meta({
      description:
        "One of the bundle's patterns, or `auto`: examples that are held back choose. The bundle's default when absent.",
    }),
    budgetMs: z
      .number(budget)
      .min(0, budget)
      .optional()
      .meta({ description: 'Of `auto`: milliseconds after which no more patterns are tried.' }),
    steps: z.int(steps).min(0, steps).max(limits.steps, steps).optional().meta({
      description:
        "Inner steps; the pattern's own when absent. A head alone that is solved for takes none of them; 0 leaves it at its start.",
    }),
    rate: z
      .number(rate)
      .gt(0, rate)
      .max(limits.rate, rate)
      .optional()
      .meta({ description: "Inner learning rate; the pattern's own when absent." }),
    always: z.boolean('expected true or false').optional().meta({
      description:
        'Whether steps below the head are taken even where views of the examples leave them nothing to learn, so that they make it worse; not with `auto`.',
    }),
    remember: z.int(remember).min(0, remember).optional().meta({
      description:
        'Examples of each class that the profile remembers at most, as features, not as pictures, so that what it learns later does not displace them; as many as the profile that it continues when absent, else none.',
    }),
    anchor: z.number(anchor).min(0, anchor).lt(1, anchor).optional().meta({
      description:
        'Of `continue`: how much of the way back to `profile` what moved is pulled in the end; 0 when absent.',
    }),
    profile: text.optional().meta({ description: 'A stored profile to change; a new one is made when absent.' }),
    continue: z
      .boolean('expected true or false')
      .optional()
      .meta({ description: 'Go on from what `profile` has learnt; it starts over when absent or false.' }),
    version: z
      .int(version)
      .min(1, version)
      .optional()
      .meta({ description: 'The version that `profile` must have; 409 where it has another.' }),
  });
}

export type AdaptRequestOptions = z.infer<ReturnType<typeof adaptOptionsSchema>>;

export function adaptSchema(limits: Limits) {
  return adaptOptionsSchema(limits)
    .extend({ examples: listOf('Example', 'Labelled images, of two classes or more.') })
    .meta({ id: 'AdaptRequest' });
}

export const exampleSchema = z
  .strictObject({ label: text, image: image.optional(), tensor: tensor.optional() })
  .meta({ id: 'Example', description: 'A label and either `image` or `tensor`.' });

export const predictOptionsSchema = z.strictObject({
  profile: text.optional().meta({ description: 'The profile to predict with.' }),
  model: text.optional().meta({ description: 'Instead of a profile: a model with classes of its own.' }),
});

export const imageSchema = z
  .strictObject({ image: image.optional(), tensor: tensor.optional() })
  .meta({ id: 'Image', description: 'Either `image` or `tensor`.' });

export const predictSchema = predictOptionsSchema
  .extend({
    image: image.optional(),
    tensor: tensor.optional(),
    images: z
      .custom<readonly unknown[]>(Array.isArray, 'expected an array')
      .meta({
        description: 'Several images, instead of `image` or `tensor`.',
        override: { type: 'array', items: { anyOf: [{ type: 'string' }, { $ref: '#/components/schemas/Image' }] } },
      })
      .optional(),
  })
  .meta({ id: 'PredictRequest' });

export const tensorDataSchema = z.strictObject({ data: text });

const MAX_PAGE = 1000;
const pageLimit = `expected a whole number from 1 to ${MAX_PAGE}`;

export const listSchema = z.strictObject({
  limit: z.coerce.number(pageLimit).int(pageLimit).min(1, pageLimit).max(MAX_PAGE, pageLimit).default(100),
  after: text.optional().meta({ description: 'The `next` of the page before.' }),
});

export const importSchema = z.strictObject({
  model: text
    .optional()
    .meta({ description: 'Name of the bundle that the profile was made with; the first when absent.' }),
});

/**
 * The value, typed. `field` is the value's own name; empty for a whole body, whose members go by their bare names.
 *
 * @throws {Problem} of the first thing wrong: `missing-input` where a member is absent, else `invalid-input`.
 */
export function check<S extends z.ZodType>(schema: S, value: unknown, field = ''): z.output<S> {
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
