import { describe, expect, it } from 'vitest';
import { deReasons } from './de-reasons.js';
import { enReasons } from './en-reasons.js';
import { esReasons } from './es-reasons.js';
import type { ReasonMessages } from './reasons.js';

const all = { pattern: 'last', loss: '0.047', leavesNothing: false, budgetMs: '900 ms', most: 1000, count: 1200 };

/** What each reason says of the same things. */
const said = (texts: ReasonMessages): Record<string, string> =>
  Object.fromEntries(
    Object.entries(texts).map(([code, say]) => [code, (say as (of: object) => string)({ ...all, code, classes: 3 })]),
  );

describe('reasons', () => {
  const english = said(enReasons);

  it.each([
    ['German', said(deReasons)],
    ['Spanish', said(esReasons)],
  ])('are other words in %s, with the same numbers and names', (_, texts) => {
    const numbersOf = (text = '') => (text.match(/\d+(\.\d+)?|last/g) ?? []).sort();
    for (const [code, text] of Object.entries(english)) {
      expect(texts[code], code).not.toBe(text);
      expect(numbersOf(texts[code]), code).toEqual(numbersOf(text));
    }
    expect(new Set(Object.values(texts)).size).toBe(Object.keys(english).length);
  });
});
