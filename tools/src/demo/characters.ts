/** A demo label, which is also its folder's name, and the character drawn for it. */
export interface DemoCharacter {
  readonly label: string;
  readonly character: string;
}

/**
 * Digits and signs: Omniglot has a Latin alphabet but neither of these. Left out are signs that differ from another one
 * here only by size, place or a short stroke ("-" and "_", "@" and the copyright sign), because an image is cut to its ink.
 */
export const DEMO_CHARACTERS: readonly DemoCharacter[] = [
  { label: 'zero', character: '0' },
  { label: 'one', character: '1' },
  { label: 'two', character: '2' },
  { label: 'three', character: '3' },
  { label: 'four', character: '4' },
  { label: 'five', character: '5' },
  { label: 'six', character: '6' },
  { label: 'seven', character: '7' },
  { label: 'eight', character: '8' },
  { label: 'nine', character: '9' },
  { label: 'ampersand', character: '&' },
  { label: 'asterisk', character: '*' },
  { label: 'at-sign', character: '@' },
  { label: 'division', character: '÷' },
  { label: 'dollar', character: '$' },
  { label: 'equals', character: '=' },
  { label: 'euro', character: '€' },
  { label: 'exclamation-mark', character: '!' },
  { label: 'greater-than', character: '>' },
  { label: 'hash', character: '#' },
  { label: 'left-brace', character: '{' },
  { label: 'less-than', character: '<' },
  { label: 'percent', character: '%' },
  { label: 'plus', character: '+' },
  { label: 'pound', character: '£' },
  { label: 'question-mark', character: '?' },
  { label: 'section', character: '§' },
  { label: 'semicolon', character: ';' },
  { label: 'tilde', character: '~' },
  { label: 'yen', character: '¥' },
];
