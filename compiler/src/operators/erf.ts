/** The error function to float64 precision: a series of positive terms near 0, a continued fraction of its tail. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  const bell = Math.exp(-a * a);
  if (a < 3) {
    // erf(a) = 2 / sqrt(pi) exp(-a^2) sum_n 2^n a^(2n+1) / (2n+1)!!
    let term = a;
    let sum = a;
    for (let n = 1; term > sum * 1e-17; n++) {
      term *= (2 * a * a) / (2 * n + 1);
      sum += term;
    }
    return (Math.sign(x) * 2 * bell * sum) / Math.sqrt(Math.PI);
  }
  // erfc(a) = exp(-a^2) / sqrt(pi) / (a + (1/2) / (a + (2/2) / (a + ...)))
  let fraction = a;
  for (let n = 60; n > 0; n--) fraction = a + n / 2 / fraction;
  return Math.sign(x) * (1 - bell / fraction / Math.sqrt(Math.PI));
}
