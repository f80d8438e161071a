import Table from 'cli-table3';

/** A table for the terminal. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
  });
  for (const row of rows) table.push([...row]);
  return table.toString();
}

export const percent = (share: number, digits = 1): string => `${(share * 100).toFixed(digits)} %`;

/** A difference with its sign; what rounds to 0 is none. */
export function signed(value: number): string {
  const size = Math.abs(value).toFixed(2);
  return `${value < 0 && Number(size) > 0 ? '−' : '+'}${size}`;
}

/** Percentage points. */
export const pointsOf = (count: number): string => (count === 1 ? '1 point' : `${count} points`);

export const milliseconds = (value: number): string => `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`;

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  return count < 1_000_000 ? `${(count / 1000).toFixed(1)} kB` : `${(count / 1_000_000).toFixed(1)} MB`;
}
