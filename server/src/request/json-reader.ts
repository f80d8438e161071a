import { Worker } from 'node:worker_threads';
import { Problem } from '../problems.js';
import { type JsonLimits, type ParsedJson, parseJson } from './parse-json.js';

/** Bytes of a body that are parsed at once: in a millisecond. */
const SMALL_BYTES = 64 * 1024;
/** Megabytes that parsing a body may take. */
const MAX_HEAP_MB = 512;

interface Waiting {
  resolve(result: ParsedJson): void;
  reject(error: Error): void;
}

/** Parses bodies of JSON: small ones at once, the others one after another in a thread, which is started with the first of them. */
export class JsonReader {
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #next = 0;

  parse(bytes: Buffer, limits: JsonLimits): Promise<ParsedJson> {
    if (bytes.length <= SMALL_BYTES) return Promise.resolve(parseJson(bytes, limits));
    const worker = this.#worker ?? this.#start();
    // A copy where others share its memory, which goes to the thread as a whole.
    const own = bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ id, bytes: own, limits }, [own.buffer as ArrayBuffer]);
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./json-thread.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    this.#worker = worker;
    worker.on('message', ({ id, result }: { id: number; result: ParsedJson }) => {
      this.#waiting.get(id)?.resolve(result);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) worker.unref();
    });
    worker.on('error', () => undefined);
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
      const problem = new Problem('too-large', 'body', 'expected JSON that fits into memory, got more');
      for (const { reject } of this.#waiting.values()) reject(problem);
      this.#waiting.clear();
    });
    return worker;
  }
}
