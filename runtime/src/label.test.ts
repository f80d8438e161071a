import { expect, test } from 'vitest';
import { labelKey, labelProblem, sameLabels } from './label.js';

test.each([
  ['caf\u00e9', 'cafe\u0301'],
  ['cat', 'c\u200bat'],
  ['cat', '\ufeffcat'],
  ['cat', 'cat\u200d'],
  ['cat', '\u202ecat\u202c'],
  ['\u2764', '\u2764\ufe0f'],
  ['a', 'a\u{e0061}'],
  ['a', 'a\u{e0100}'],
  ['a', 'a\u3164'],
  ['a', 'a\ufff9'],
  ['a', 'a '],
  ['a', '\u00a0a\u200b\u3000'],
  ['a b', ' a\u00a0b'],
  ['\u00e9 b', '\u00e9\u202fb'],
  // What has no width stands between a letter and its accent.
  ['caf\u00e9', 'cafe\u200b\u0301'],
])('%j and %j are one label', (one, other) => {
  expect(labelKey(one)).toBe(labelKey(other));
  expect(sameLabels(['x', one, other])).toEqual([1, 2]);
});

test('labels that differ to the eye are several', () => {
  const flag = (region: string) =>
    `\u{1f3f4}${[...region].map((letter) => String.fromCodePoint(0xe0000 + letter.charCodeAt(0))).join('')}`;
  const labels = ['cat', 'Cat', 'c at', 'c  at', 'cafe', 'caf\u00e9', 'fi', '\ufb01', flag('gbeng'), flag('gbsct')];
  expect(sameLabels(labels)).toBeUndefined();
});

test.each([
  ['', 'an empty one'],
  ['  ', 'nothing but space'],
  ['\u00a0', 'nothing but space'],
  ['\u200b\u2060', 'nothing but space'],
  ['a\tb', '"a\\tb"'],
  ['a\u009bb', '"a\\u009bb"'],
  ['a\u2028b', '"a\\u2028b"'],
  ['\u3164', 'nothing but space'],
  ['\u007f', '"\\u007f"'],
  ['x'.repeat(257), '257 bytes'],
  ['a\ud800', 'what is not UTF-8'],
])('%j cannot name a class', (label, got) => {
  expect(labelProblem(label)).toBe(
    `expected a label of 1 to 256 bytes of UTF-8 without control characters, got ${got}`,
  );
});

test('a label may be of any script', () => {
  for (const label of ['cat', '\u65e5\u672c', '\u{1f469}\u200d\u{1f4bb}', '__proto__', 'x'.repeat(256)]) {
    expect(labelProblem(label)).toBeUndefined();
  }
});
