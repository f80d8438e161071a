import * as z from 'zod';
import { readBySchema } from './read-by-schema.js';
import type { BenchRecord, BenchResult } from './record.js';

export const PEER_SCHEMA = 'whet-peer/1';

const positive = z.int().positive();
const samples = z.array(z.number().positive()).min(1);
/** What stands in a table's cell. */
const line = z.string().regex(/^\P{Cc}+$/u, { error: 'expected a line of text' });

const taskSchema = z.strictObject({
  /** Name of the bundle, and of its pattern. */
  network: line,
  pattern: line,
  ways: positive,
  shots: positive,
  steps: positive,
});

const resultSchema = z
  .strictObject({
    ...taskSchema.shape,
    /** The loss before each step, and after the last. */
    losses: z.array(z.number()),
    /** Of the clock and of the processor, in each run: encoding, all steps and the loss that they end at. */
    milliseconds: samples,
    processor: samples,
  })
  .check(({ value, issues }) => {
    const { steps, losses, milliseconds, processor } = value;
    const lengths = [
      ['losses', losses.length, steps + 1, 'one before each step and one after the last'],
      ['processor', processor.length, milliseconds.length, 'as many as milliseconds'],
    ] as const;
    for (const [field, got, expected, what] of lengths) {
      const message = `expected ${expected} numbers, ${what}, got ${got}`;
      if (got !== expected) issues.push({ code: 'custom', path: [field], message, input: value[field] });
    }
  });

const peerSchema = z
  .strictObject({
    schema: z.literal(PEER_SCHEMA),
    /** What took the steps, as `PyTorch eager`. */
    engine: line,
    version: line,
    machine: z.strictObject({ cpu: line, cores: positive, threads: positive }),
    results: z.array(resultSchema).min(1),
  })
  .check(({ value: { results }, issues }) => {
    const names = results.map(peerTaskText);
    for (const [i, name] of names.entries()) {
      const message = `expected each task once, got "${name}" again`;
      if (names.indexOf(name) < i) issues.push({ code: 'custom', path: ['results', i], message, input: results[i] });
    }
  });

/** Which steps were taken on which task. */
export type PeerTask = z.infer<typeof taskSchema>;
/** What another engine took for the steps that a pattern takes. */
export type PeerRecord = z.infer<typeof peerSchema>;

/** `conv4 head, 5-way 5-shot, 10 steps` */
export const peerTaskText = ({ network, pattern, ways, shots, steps }: PeerTask): string =>
  `${network} ${pattern}, ${ways}-way ${shots}-shot, ${steps} steps`;

/** Reads a file of another engine's results. Throws {@link BenchError} naming what does not fit. */
export function readPeer(path: string): Promise<PeerRecord> {
  return readBySchema(path, `a file of another engine (${PEER_SCHEMA})`, peerSchema);
}

/** Where Whet ran; threads are undefined where onnxruntime chose them, which does not say how many. */
export type OwnMachine = Omit<PeerRecord['machine'], 'threads'> & { readonly threads: number | undefined };

/** What Whet took, to be set beside other engines'. */
export interface TimedTask {
  readonly task: PeerTask;
  readonly machine: OwnMachine;
  /** Undefined where a bench of before has none. */
  readonly losses: readonly number[] | undefined;
  /** Medians of the clock's and the processor's milliseconds. */
  readonly milliseconds: number;
  readonly processor: number | undefined;
}

/** A result of a bench as that. */
export function timedTaskOf({ machine, bundles, options }: BenchRecord, result: BenchResult): TimedTask {
  const { bundle, backend, pattern, ways, shots, steps, losses, adapt, processor } = result;
  const network = bundles.find(({ label }) => label === bundle)?.name ?? bundle;
  // WebAssembly has one thread in Node.js.
  const threads = backend === 'wasm' ? 1 : (options.threads ?? undefined);
  return {
    task: { network, pattern, ways, shots, steps },
    machine: { cpu: machine.cpu, cores: machine.cores, threads },
    losses: losses ?? undefined,
    milliseconds: adapt.median,
    processor: processor?.median,
  };
}
