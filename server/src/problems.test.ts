import { InputError, ProfileError } from '@whet/runtime';
import { describe, expect, test } from 'vitest';
import { Problem, show, toProblem } from './problems.js';

describe('Problem', () => {
  test('names its field once', () => {
    const plain = new Problem('invalid-input', 'rate', 'expected 1, got 2');
    const named = new Problem('invalid-input', 'rate', 'rate: expected 1, got 2');
    expect(plain.toBody()).toEqual({
      type: '/problems/invalid-input',
      title: 'Invalid input',
      status: 422,
      detail: 'rate: expected 1, got 2',
      field: 'rate',
    });
    expect(named.toBody()).toEqual(plain.toBody());
  });

  test('never sends back much of what was sent', () => {
    const body = new Problem('invalid-input', 'f'.repeat(10_000), 'd'.repeat(10_000)).toBody();
    expect(JSON.stringify(body).length).toBeLessThan(1200);
  });
});

test('the errors of the runtime are refusals, anything else a fault without reasons', () => {
  expect(toProblem(new InputError('steps', 'expected 1, got 2')).toBody()).toMatchObject({
    status: 422,
    field: 'steps',
    detail: 'steps: expected 1, got 2',
  });
  expect(toProblem(new ProfileError('made with another bundle')).toBody()).toMatchObject({ status: 409 });
  for (const fault of [new Error('secret'), new TypeError('secret'), 'secret', undefined, { status: 400 }]) {
    const body = toProblem(fault).toBody();
    expect(body).toMatchObject({ status: 500, type: '/problems/internal-error' });
    expect(JSON.stringify(body)).not.toContain('secret');
  }
});

test('show is short whatever it is given', () => {
  const values = [
    undefined,
    null,
    Number.NaN,
    '"',
    'x'.repeat(1e6),
    new Array(1e6).fill('x'),
    { a: 'x'.repeat(1e6) },
    true,
  ];
  expect(values.map(show)).toEqual([
    'nothing',
    'null',
    'NaN',
    '"\\""',
    `"${'x'.repeat(60)}... (1000000 characters)"`,
    'an array of 1000000',
    'an object',
    'true',
  ]);
});
