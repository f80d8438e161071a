/** A count in words: `one` or `other`, with the number in place of `#`, by the rules of a language. */
export function plural(language: string, one: string, other: string): (count: number) => string {
  const rules = new Intl.PluralRules(language);
  const numbers = new Intl.NumberFormat(language);
  return (count) => (rules.select(count) === 'one' ? one : other).replace('#', numbers.format(count));
}
