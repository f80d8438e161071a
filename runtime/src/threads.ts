/**
 * Threads inside an operator of onnxruntime-node where none are given: those of the environment variable `WHET_THREADS`, or
 * undefined for onnxruntime's own choice, one per core. Throws a RangeError where the variable is no such number.
 */
export function defaultThreads(): number | undefined {
  const text = process.env['WHET_THREADS'];
  if (!text) return undefined;
  const threads = Number(text);
  if (Number.isSafeInteger(threads) && threads > 0) return threads;
  throw new RangeError(`WHET_THREADS: expected a whole number of 1 or more, got "${text.slice(0, 40)}"`);
}
