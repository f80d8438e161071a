/** Insertions, deletions and replacements of characters that make `b` of `a` (Levenshtein 1966). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** Characters of a name that are compared; comparing all of long ones takes the product of their lengths. */
const COMPARED = 100;

/** The `count` names nearest to `wanted`, the nearest first. */
export function nearestNames(wanted: string, names: Iterable<string>, count = 3): string[] {
  const start = (name: string) => name.slice(0, COMPARED);
  const ranked = [...new Set(names)].map((name) => ({ name, distance: editDistance(start(wanted), start(name)) }));
  return ranked
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ name }) => name);
}
