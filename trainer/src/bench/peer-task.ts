import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  dequantizeOnnx,
  encodeOnnx,
  type Graph,
  GraphBuilder,
  inline,
  makeTensor,
  readOnnx,
  type Value,
} from '@whet/compiler';
import { type Bundle, type Example, InputError, type PatternManifest, type Profile } from '@whet/runtime';
import { float32, type StoredTensor, writeSafetensors } from '@whet/runtime/format';
import { openBundleFiles } from '@whet/runtime/node';
import { type PeerTask, peerTaskText } from './peer-record.js';
import { BenchError } from './read-by-schema.js';
import { lossesOf, noiseExamples } from './time-patterns.js';

const PEER_TASK_SCHEMA = 'whet-peer-task/1';

export interface PeerTaskOptions extends Omit<PeerTask, 'network'> {
  readonly bundle: Bundle;
  /** Where the bundle stands. */
  readonly place: string;
}

/** The logits of a pattern, with its values and its head where they start, as a network that others may train. */
function restOf(graph: Graph, values: Profile['values']): { graph: Graph; trainable: string[] } {
  const g = new GraphBuilder();
  const bindings = new Map<Value, Value>();
  const inputs: Value[] = [];
  const trainable: string[] = [];
  for (const input of graph.inputs) {
    const value = values.get(input.name);
    if (value) {
      bindings.set(input, g.constant(makeTensor(value.shape, value.data), input.name));
      trainable.push(input.name);
      continue;
    }
    const copy = g.input(input.name, input.shape, input.dtype);
    bindings.set(input, copy);
    inputs.push(copy);
  }
  const outputs = inline(g, graph, bindings);
  const logits = outputs.get('logits') ?? (outputs.get('probabilities') as Value).producer?.inputs[0];
  return { graph: { name: 'rest', inputs, outputs: new Map([['logits', logits as Value]]) }, trainable };
}

/** What makes a pattern's steps others than gradients of the mean cross-entropy of all examples, times a rate. */
function notPlain(pattern: PatternManifest, shots: number): string | undefined {
  const { graphs, moving, optimizer = 'sgd', objective = 'head', schedule = 'constant' } = pattern;
  const masked = moving.find((each) => each.moving < each.entries);
  if (masked) return `${masked.moving} of the ${masked.entries} entries of "${masked.name}"`;
  if (graphs.solve) return 'a head in closed form';
  if (optimizer !== 'sgd') return `the optimizer ${optimizer}`;
  if (objective !== 'head') return `the objective ${objective}`;
  if (schedule !== 'constant') return `the schedule ${schedule}`;
  if (pattern.smoothing) return `labels smoothed by ${pattern.smoothing}`;
  if (pattern.decay) return `a decay of ${pattern.decay}`;
  if (pattern.views && shots === 1) return `${pattern.views} views of each example`;
  if (pattern.normalizations?.length) return 'moments of the examples';
  return undefined;
}

/** What Whet makes of a task that no plain steps make, as it tries each: one that it takes back. Throws {@link BenchError} where it cannot take them. */
async function notKept(
  { bundle, pattern, steps }: PeerTaskOptions,
  examples: readonly Example[],
  task: string,
): Promise<string | undefined> {
  const adapted = await bundle.adapt(examples, { pattern, steps, always: true }).catch((cause: unknown) => {
    throw cause instanceof InputError ? new BenchError(`${task}: ${cause.message}`, { cause }) : cause;
  });
  // The last one is taken back without another try: the loss stays as it was.
  const [before, after] = lossesOf(adapted).slice(-2);
  return adapted.halved > 0 || before === after ? 'a step was taken back, as it raised the loss' : undefined;
}

/**
 * Writes what another engine needs to take a pattern's steps, with the examples of `whet bench`, into a folder: `encode.onnx` (images to
 * features; absent where nothing is frozen), `rest.onnx` (features to logits, what moves as initializers), `examples.safetensors` and `task.json`.
 * Throws {@link BenchError} where there are no steps, or others than plain gradient steps.
 */
export async function writePeerTask(folder: string, options: PeerTaskOptions): Promise<void> {
  const { bundle, place, pattern, ways, shots, steps } = options;
  const manifest = bundle.manifest.patterns[pattern];
  const task = { network: bundle.manifest.name, pattern, ways, shots, steps };
  if (!manifest) throw new BenchError(`pattern "${pattern}": expected one of ${bundle.manifest.name}’s`);
  if (steps < 1) throw new BenchError(`${peerTaskText(task)}: expected 1 step or more`);
  const other = notPlain(manifest, shots);
  if (other)
    throw new BenchError(`${peerTaskText(task)}: expected plain gradient steps of whole weights, got ${other}`);
  const examples = noiseExamples(bundle, ways, shots);
  const lost = await notKept(options, examples, peerTaskText(task));
  if (lost) throw new BenchError(`${peerTaskText(task)}: ${lost}`);
  const { encode, predict } = manifest.graphs;
  const read = openBundleFiles(place);
  const weights = await read(bundle.manifest.weights);
  const external = (_: string, offset: number, length: number) => weights.subarray(offset, offset + length);
  const { profile } = await bundle.adapt(examples, { pattern, steps: 0 });
  const rest = restOf(readOnnx(await read(predict), { external }), profile.values);
  await mkdir(folder, { recursive: true });
  await rm(join(folder, 'encode.onnx'), { force: true });
  if (encode) {
    const graph = readOnnx(dequantizeOnnx(await read(encode), external));
    await writeFile(join(folder, 'encode.onnx'), encodeOnnx(graph));
  }
  await writeFile(join(folder, 'rest.onnx'), encodeOnnx(rest.graph));
  const { channels, height, width } = bundle.manifest.preprocessing;
  const pixels = new Float32Array(examples.length * bundle.imageLength);
  for (const [i, { image }] of examples.entries()) pixels.set(image as Float32Array, i * bundle.imageLength);
  const labels = BigInt64Array.from(examples, ({ label }) => BigInt(profile.classes.indexOf(label)));
  const tensors = new Map<string, StoredTensor>([
    ['images', float32([examples.length, channels, height, width], pixels)],
    ['labels', { dtype: 'I64', shape: [examples.length], data: labels }],
  ]);
  await writeFile(join(folder, 'examples.safetensors'), writeSafetensors({ tensors, metadata: {} }));
  const { rate } = manifest;
  const said = { schema: PEER_TASK_SCHEMA, ...task, rate, trainable: rest.trainable };
  await writeFile(join(folder, 'task.json'), `${JSON.stringify(said, null, 2)}\n`);
}
