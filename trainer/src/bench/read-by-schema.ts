import { readFile } from 'node:fs/promises';
import type * as z from 'zod';

/** A file of measurements that cannot be read. */
export class BenchError extends Error {
  override readonly name = 'BenchError';
}

/** A file of measurements by its schema; `what` it is to be. Throws {@link BenchError} naming the field that does not fit. */
export async function readBySchema<T>(path: string, what: string, schema: z.ZodType<T>): Promise<T> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new BenchError(`${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new BenchError(`${path}: expected ${what}, got no JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue?.path.join('.') || 'the whole';
  throw new BenchError(`${path}: expected ${what}: ${where}: ${issue?.message}`, { cause: parsed.error });
}
