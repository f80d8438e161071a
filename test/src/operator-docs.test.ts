import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { OPERATOR_DOCS, operatorDocs } from './operator-docs.js';

it('docs/operators.md says what the table of operators has (npm run docs:operators writes it)', () => {
  expect(readFileSync(OPERATOR_DOCS, 'utf8')).toBe(operatorDocs());
});
