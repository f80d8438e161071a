import { Worker } from 'node:worker_threads';
import { Problem } from '../problems.js';
import { Turns } from '../work/turns.js';
import { type JsonSource, type ParsedJson, parseJson } from './parse-json.js';

/** Bytes of a body that are parsed at once: in a millisecond. */
const SMALL_BYTES = 64 * 1024;
/** Bytes from which a body leaves that much behind that a new thread is cheaper. */
const LONG_BYTES = 4 * 2 ** 20;
/** Megabytes that parsing a body may take. */
const MAX_HEAP_MB = 256;
/** Milliseconds after which a thread is taken for stuck. */
const STUCK_MS = 30_000;

/** Parses bodies of JSON: small ones at once, the others by turns in a thread, which is started with the first of them. */
export class JsonReader {
  readonly #turns = new Turns({ slots: 1, largeSlots: 1, large: Number.POSITIVE_INFINITY });
  #worker: Worker | undefined;
  #ending: Promise<unknown> | undefined;

  /** `script` is what a thread runs, {@link parseJson} of what it is sent. */
  constructor(
    private readonly stuckMs = STUCK_MS,
    private readonly script = new URL('./json-thread.js', import.meta.url),
  ) {}

  async parse(owner: string, source: JsonSource, signal: AbortSignal): Promise<ParsedJson> {
    const { bytes, encoding } = source;
    if (bytes.length <= SMALL_BYTES && encoding === 'identity') return parseJson(source);
    return this.#turns.run(owner, bytes.length, signal, () => this.#parse(source));
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  async #parse({ bytes, ...rest }: JsonSource): Promise<ParsedJson> {
    // What the last one took is given back before this one takes as much.
    await this.#ending;
    const worker = this.#worker ?? this.#start();
    // A copy where others share its memory, which goes to the thread as a whole.
    const own = bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        worker.off('message', done);
        worker.off('messageerror', failed);
        worker.off('error', failed);
        worker.off('exit', ended);
      };
      const done = (result: ParsedJson) => {
        leave();
        worker.unref();
        // Its memory goes with it, at once; it would be collected when its own turn comes.
        if (result.bytes > LONG_BYTES) this.#end(worker);
        resolve(result);
      };
      const giveUp = (got: string) => {
        leave();
        this.#end(worker);
        const detail = `expected a thread that parses JSON, got ${got}; try again soon`;
        reject(new Problem('unavailable', 'body', detail, { 'Retry-After': '2' }));
      };
      const ended = () => giveUp('one that ended');
      const failed = (error: Error & { readonly code?: string }) => {
        leave();
        this.#end(worker);
        const isFull = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
        reject(isFull ? new Problem('too-large', 'body', 'expected JSON that fits into memory, got more') : error);
      };
      const timer = setTimeout(() => giveUp(`no answer within ${this.stuckMs} ms`), this.stuckMs);
      worker.ref();
      worker.once('message', done);
      worker.once('messageerror', failed);
      worker.once('error', failed);
      worker.once('exit', ended);
      worker.postMessage({ ...rest, bytes: own } satisfies JsonSource, [own.buffer as ArrayBuffer]);
    });
  }

  #end(worker: Worker): void {
    if (this.#worker === worker) this.#worker = undefined;
    this.#ending = worker.terminate();
  }

  #start(): Worker {
    const worker = new Worker(this.script, { resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB } });
    this.#worker = worker;
    // One that fails between two bodies; it is started anew with the next.
    worker.on('error', () => undefined);
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    return worker;
  }
}
