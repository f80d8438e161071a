import { readFileSync } from 'node:fs';
import { OPERATOR_DOCS, operatorDocs } from '@whet/tools/docs/operators';
import { expect, it } from 'vitest';

it('docs/operators.md says what the table of operators has (npm run docs:operators writes it)', () => {
  expect(readFileSync(OPERATOR_DOCS, 'utf8')).toBe(operatorDocs());
});
