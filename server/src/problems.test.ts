import { InputError, ProfileError } from '@whet/runtime';
import { describe, expect, test } from 'vitest';
import { EngineError } from './engine/engine.js';
import { Problem, show, toProblem } from './problems.js';
import { FileError } from './routes/static-files.js';
import { StoreUnavailableError } from './stores/contract.js';

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
  // Also where somebody's names are words of the system's.
  for (const text of ['made with another bundle', 'pattern "EMFILE": too many open files']) {
    expect(toProblem(new ProfileError(text)).toBody()).toMatchObject({ status: 409 });
  }
  for (const fault of [new Error('secret'), new TypeError('secret'), 'secret', undefined, { status: 400 }]) {
    const body = toProblem(fault).toBody();
    expect(body).toMatchObject({
      status: 500,
      type: '/problems/internal-error',
      detail: 'request: expected an answer, got an error inside the server',
    });
    expect(JSON.stringify(body)).not.toContain('secret');
  }
});

const LACKING = 'request: expected a server with files, threads and memory left, got one without; try again soon';
const failure = (code: string) => Object.assign(new Error('secret'), { code });
test.each<[Error, number, string]>([
  [new StoreUnavailableError('secret'), 503, 'request: expected a store that answers, got none; try again soon'],
  [new EngineError('secret'), 503, 'request: expected an engine that answers, got none; try again soon'],
  [
    new FileError('secret', failure('EACCES')),
    403,
    'path: expected a file that this service may read, got one that it may not',
  ],
  [
    new FileError('secret', failure('EMFILE')),
    503,
    'path: expected a file that can be opened, got an error; try again soon',
  ],
  ...(['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM', 'ERR_WORKER_INIT_FAILED'] as const).map(
    (code) => [failure(code), 503, LACKING] as [Error, number, string],
  ),
  [new Error('Could not load "secret": ERR_DLOPEN_FAILED: secret.so: Too many open files'), 503, LACKING],
  // As they come from a thread, without their code.
  [new Error('ENOMEM: not enough memory, read'), 503, LACKING],
  [new Error('EAGAIN: resource temporarily unavailable, open'), 503, LACKING],
])('%s is told as what to do about it', (error, status, detail) => {
  const problem = toProblem(error);
  expect(problem.toBody()).toMatchObject({ status, detail });
  expect(problem.headers).toEqual(status === 503 ? { 'Retry-After': '2' } : {});
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
