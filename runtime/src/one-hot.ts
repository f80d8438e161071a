/** Labels as rows `[count, ways]`, 1 at each row's label; a negative label is a row of zeros. */
export function oneHot(labels: Int32Array, ways: number): Float32Array {
  const rows = new Float32Array(labels.length * ways);
  for (const [i, label] of labels.entries()) if (label >= 0) rows[i * ways + label] = 1;
  return rows;
}
