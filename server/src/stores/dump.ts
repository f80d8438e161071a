import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, lstat, open, rename, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import * as z from 'zod';
import { EMPTY, type KeyRecord, type PlacedProfile, type StoreCounts, StoreDamagedError } from './contract.js';

// A store as one file of lines of JSON: the head, profiles, keys, and last what there must have been.

const FORMAT = 1;
const time = z.iso.datetime();
const count = z.int().nonnegative();

const profileSchema = z.strictObject({
  owner: z.string(),
  id: z.string(),
  model: z.string(),
  pattern: z.string(),
  classes: z.array(z.string()),
  examples: z.array(count),
  version: z.int().positive(),
  created: time,
  updated: time,
  used: time,
  bytes: z.base64(),
});

const keySchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  hash: z.hex(),
  namespace: z.string(),
  role: z.enum(['user', 'operator']),
  rateLimit: count.exactOptional(),
  created: time,
}) satisfies z.ZodType<KeyRecord>;

const lineSchema = z.union([
  z.strictObject({ profile: profileSchema }),
  z.strictObject({ key: keySchema }),
  z.strictObject({ end: z.strictObject({ profiles: count, bytes: count, keys: count, sha256: z.hex() }) }),
]);

export type Entry = { readonly profile: PlacedProfile } | { readonly key: KeyRecord };

/**
 * Writes a new file that only its owner reads, whole or not at all; what is in it. Rejects where there is one. Whoever is killed meanwhile
 * leaves one beside it, whose name ends in `.part`.
 */
export async function writeDump(path: string, entries: AsyncIterable<Entry>): Promise<StoreCounts> {
  await lstat(path).then(
    () => isThere(path),
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    },
  );
  // Of the same name only at the end: half a copy cannot be taken for one, and nobody else's is overwritten.
  const part = `${path}.${randomUUID()}.part`;
  const digest = createHash('sha256');
  let counts: StoreCounts = { ...EMPTY, keys: 0 };
  try {
    const file = await open(part, 'wx', 0o600);
    try {
      const write = async (line: object) => {
        const text = `${JSON.stringify(line)}\n`;
        digest.update(text);
        await file.writeFile(text);
      };
      await write({ whet: 'store', format: FORMAT });
      for await (const entry of entries) {
        counts = countEntry(counts, entry);
        await write('key' in entry ? entry : { profile: encode(entry.profile) });
      }
      await write({ end: { ...counts, sha256: digest.copy().digest('hex') } });
      await file.sync();
    } finally {
      await file.close();
    }
    await giveName(part, path);
  } finally {
    await rm(part, { force: true });
  }
  return counts;
}

/** Gives a file a second name, unless another has it. */
async function giveName(file: string, name: string): Promise<void> {
  try {
    await link(file, name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') isThere(name);
    // Some file systems know one name of a file only. It is new to them a moment before.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error;
    await rename(file, name);
  }
}

function isThere(path: string): never {
  throw new Error(`${path}: expected a new file, got one that is there`);
}

/** Reads a dump. Rejects with {@link StoreDamagedError} at the first line that is not as it was written, or lacks. */
export async function* readDump(path: string): AsyncGenerator<Entry> {
  const digest = createHash('sha256');
  let [number, ended] = [0, false];
  let counts: StoreCounts = { ...EMPTY, keys: 0 };
  const fault = (expected: string, got: string) =>
    new StoreDamagedError(`${path}: line ${number}: expected ${expected}, got ${got}`);
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    if (ended) throw fault('the end of the file', 'more');
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw fault('JSON', (cause as Error).message);
    }
    if (number === 1) {
      const { whet, format } = (value ?? {}) as { whet?: unknown; format?: unknown };
      if (whet !== 'store' || format !== FORMAT) throw fault(`a dump of format ${FORMAT}`, line.slice(0, 60));
    } else {
      const result = lineSchema.safeParse(value);
      if (!result.success)
        throw fault('a profile, a key or the end', z.prettifyError(result.error).split('\n')[0] ?? '');
      const { data } = result;
      if ('end' in data) {
        const sha256 = digest.copy().digest('hex');
        const got = { ...counts, sha256 };
        if (JSON.stringify(got) !== JSON.stringify(data.end))
          throw fault(JSON.stringify(data.end), JSON.stringify(got));
        ended = true;
      } else {
        const entry = 'key' in data ? data : { profile: decode(data.profile) };
        counts = countEntry(counts, entry);
        yield entry;
      }
    }
    digest.update(`${line}\n`);
  }
  number++;
  if (!ended) throw fault('the line that says how much there is', 'the end of the file');
}

const encode = ({ bytes, size: _, ...rest }: PlacedProfile) => ({
  ...rest,
  bytes: Buffer.from(bytes).toString('base64'),
});

function decode({ bytes: text, ...rest }: z.output<typeof profileSchema>): PlacedProfile {
  const bytes = new Uint8Array(Buffer.from(text, 'base64'));
  return { ...rest, bytes, size: bytes.byteLength };
}

/** What there is with one more. */
export function countEntry({ profiles, bytes, keys }: StoreCounts, entry: Entry): StoreCounts {
  if ('key' in entry) return { profiles, bytes, keys: keys + 1 };
  return { profiles: profiles + 1, bytes: bytes + entry.profile.size, keys };
}
