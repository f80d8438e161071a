import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataError } from '../data/dataset.js';

/** Bytes of memory that several {@link Records} share. */
export interface MemoryBudget {
  left: number;
}

/** Records of one length by their numbers: in memory while that lasts, then in a temporary file. */
export class Records {
  readonly #kept = new Map<number, Uint8Array>();
  #file: { readonly handle: FileHandle; readonly folder: string } | undefined;

  constructor(
    /** Bytes of a record. */
    readonly length: number,
    private readonly memory: MemoryBudget,
  ) {}

  /** Keeps a record; the bytes are the caller's again. Throws {@link DataError} where the temporary file cannot be written. */
  async put(number: number, record: Uint8Array): Promise<void> {
    if (this.length <= this.memory.left) {
      this.memory.left -= this.length;
      this.#kept.set(number, record.slice());
      return;
    }
    try {
      this.#file ??= await openTemporary();
      await this.#file.handle.write(record, 0, this.length, number * this.length);
    } catch (cause) {
      const got = (cause as Error).message;
      throw new DataError(
        `${tmpdir()}: expected room for what the images are encoded to, got ${got}; set TMPDIR, or take fewer tasks`,
        { cause },
      );
    }
  }

  /** A copy of a record that was put. */
  async get(number: number): Promise<Uint8Array<ArrayBuffer>> {
    const kept = this.#kept.get(number);
    if (kept) return new Uint8Array(kept);
    const record = new Uint8Array(this.length);
    await this.#file?.handle.read(record, 0, this.length, number * this.length);
    return record;
  }

  /** Ends the temporary file. */
  async close(): Promise<void> {
    this.#kept.clear();
    await this.#file?.handle.close();
    if (this.#file) await rm(this.#file.folder, { recursive: true, force: true });
    this.#file = undefined;
  }
}

/** A file whose name is gone where the system allows that, so that nothing stays where the process is ended. */
async function openTemporary() {
  const folder = await mkdtemp(join(tmpdir(), 'whet-encoded-'));
  const handle = await open(join(folder, 'records'), 'wx+', 0o600);
  await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  return { handle, folder };
}
