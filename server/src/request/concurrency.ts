/**
 * Maps with at most `limit` transforms under way. After a failure nothing new is started, what runs is waited for, and
 * the error of the first item that failed is thrown: the same request is refused with the same words every time.
 */
export async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  transform: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const failures: { readonly index: number; readonly error: unknown }[] = [];
  async function work(): Promise<void> {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        results[index] = await transform(items[index] as T, index);
      } catch (error) {
        failures.push({ index, error });
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work));
  const [first] = failures.sort((a, b) => a.index - b.index);
  if (first) throw first.error;
  return results;
}
