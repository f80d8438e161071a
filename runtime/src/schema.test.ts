import { describe, expect, it } from 'vitest';
import {
  byName,
  checked,
  either,
  fields,
  flag,
  list,
  mismatchOf,
  number,
  oneOf,
  onlyFields,
  optional,
  orNull,
  positive,
  text,
} from './schema.js';

const schema = fields({
  name: text(/^[a-z]+$/),
  sizes: list(positive, { minItems: 1, maxItems: 3 }),
  rate: number({ minimum: 0, exclusiveMaximum: 1 }),
  kind: optional(oneOf(['near', 'far'])),
  file: orNull(checked(text(), (value) => (value.includes('/') ? 'expected a name, got a path' : undefined))),
  rules: optional(list(either(onlyFields({ head: oneOf(['a']) }), onlyFields({ steps: text() })))),
  parts: byName(text(/^[a-z]$/), fields({ open: flag })),
});
const right = { name: 'x', sizes: [1], rate: 0.5, file: null, parts: { a: { open: true } } };

describe('what is expected of JSON', () => {
  it.each<[string, unknown, string | undefined]>([
    ['what fits', { ...right, kind: 'far', rules: [{ head: 'a' }, { steps: 's' }], file: 'f' }, undefined],
    ['fields that it does not know', { ...right, other: 1 }, undefined],
    ['a field that may be absent, undefined', { ...right, kind: undefined }, undefined],
    ['another kind of value', [], 'expected an object, got []'],
    ['null', null, 'expected an object, got null'],
    ['a field that is not there', { ...right, rate: undefined }, 'rate: expected a number, got nothing'],
    ['one that may be null', { ...right, file: undefined }, 'file: expected a value, got nothing'],
    ['a text that does not look like it', { ...right, name: 'X' }, 'name: expected a text like /^[a-z]+$/, got "X"'],
    ['a number for a text', { ...right, name: 3 }, 'name: expected a text, got 3'],
    ['too few', { ...right, sizes: [] }, 'sizes: expected 1 or more, got []'],
    ['too many', { ...right, sizes: [1, 1, 1, 1] }, 'sizes: expected at most 3, got [1,1,1,1]'],
    ['half a number', { ...right, sizes: [1, 0.5] }, 'sizes.1: expected a whole number, got 0.5'],
    ['none above 0', { ...right, sizes: [0] }, 'sizes.0: expected a number above 0, got 0'],
    ['below the least', { ...right, rate: -1 }, 'rate: expected a number of at least 0, got -1'],
    ['not below the bound', { ...right, rate: 1 }, 'rate: expected a number below 1, got 1'],
    ['more than a number can be', { ...right, rate: JSON.parse('1e400') }, 'rate: expected a number, got Infinity'],
    ['what is no number', { ...right, rate: Number.NaN }, 'rate: expected a number, got NaN'],
    [
      'more than any whole one',
      { ...right, sizes: [Number.POSITIVE_INFINITY] },
      'sizes.0: expected a whole number, got Infinity',
    ],
    ['another word', { ...right, kind: 'here' }, 'kind: expected one of "near", "far", got "here"'],
    ['what code refuses', { ...right, file: 'a/b' }, 'file: expected a name, got a path'],
    ['what is neither', { ...right, file: 3 }, 'file: expected a text, got 3'],
    ['the nearer of two', { ...right, rules: [{ steps: 4 }] }, 'rules.0.steps: expected a text, got 4'],
    ['one field more', { ...right, rules: [{ steps: 's', head: 'a' }] }, 'rules.0.steps: expected no field but head'],
    ['another name', { ...right, parts: { A: { open: true } } }, 'parts.A: expected a text like /^[a-z]$/, got "A"'],
    ['a field deep inside', { ...right, parts: { a: {} } }, 'parts.a.open: expected true or false, got nothing'],
  ])('%s', (_, value, problem) => {
    const said = mismatchOf(schema, value);
    if (problem === undefined) expect(said).toBeUndefined();
    else expect(said?.slice(0, problem.length)).toBe(problem);
  });

  it('is JSON Schema', () => {
    expect(JSON.parse(JSON.stringify(schema)).properties.sizes).toEqual({
      type: 'array',
      items: { type: 'integer', exclusiveMinimum: 0 },
      minItems: 1,
      maxItems: 3,
    });
    expect(JSON.parse(JSON.stringify(schema)).required).toEqual(['name', 'sizes', 'rate', 'file', 'parts']);
  });
});
