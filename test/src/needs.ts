/** What a test that needs other programs says in its title: which of them, by Debian's names, this machine has not got. */
export function lacking(needs: Readonly<Record<string, unknown>>): string {
  const missing = Object.keys(needs).filter((name) => !needs[name]);
  return missing.length === 0 ? '' : ` (skipped: no ${missing.join(', no ')})`;
}
