const NAMED = 5;

/** The first names of a list, and how many more there are. */
export function listed(names: readonly string[]): string {
  const more = names.length > NAMED ? `, and ${names.length - NAMED} more` : '';
  return names.slice(0, NAMED).join(', ') + more;
}

/** Says on the error stream what was not read. */
export function noteUnread(paths: readonly string[]): void {
  if (paths.length > 0) process.stderr.write(`note: not read, as no images of a class: ${listed(paths)}\n`);
}
