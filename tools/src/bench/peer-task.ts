import { mkdir, writeFile } from 'node:fs/promises';
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
import type { Example, Profile } from '@whet/runtime';
import { type Bundle, openBundleFiles } from '@whet/runtime/node';

/** An adaptation that other engines take too. */
export interface PeerTask {
  readonly bundle: Bundle;
  /** Where the bundle stands. */
  readonly place: string;
  readonly pattern: string;
  readonly examples: readonly Example[];
  readonly steps: number;
  readonly rate: number;
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

/** Writes what an engine needs to take the same steps as a pattern: the files of `tools/peers/worker.py`. */
export async function writePeerTask(folder: string, task: PeerTask): Promise<void> {
  const { bundle, place, pattern, examples, steps, rate } = task;
  const { graphs } = bundle.manifest.patterns[pattern] ?? {};
  if (!graphs) throw new Error(`pattern "${pattern}": expected one of the bundle's`);
  await mkdir(folder, { recursive: true });
  const read = openBundleFiles(place);
  const weights = await read(bundle.manifest.weights);
  const external = (_: string, offset: number, length: number) => weights.subarray(offset, offset + length);
  const { profile } = await bundle.adapt(examples, { pattern, steps: 0 });
  if (graphs.encode) {
    const encode = readOnnx(dequantizeOnnx(await read(graphs.encode), external));
    await writeFile(join(folder, 'encode.onnx'), encodeOnnx(encode));
  }
  const rest = restOf(readOnnx(await read(graphs.predict), { external }), profile.values);
  await writeFile(join(folder, 'rest.onnx'), encodeOnnx(rest.graph));
  const { channels, height, width } = bundle.manifest.preprocessing;
  const classes = [...new Set(examples.map(({ label }) => label))];
  const images = examples.map(({ image }) => Buffer.from((image as Float32Array).slice().buffer));
  const labels = BigInt64Array.from(examples, ({ label }) => BigInt(classes.indexOf(label)));
  await writeFile(join(folder, 'examples.bin'), Buffer.concat([...images, Buffer.from(labels.buffer)]));
  const shape = [examples.length, channels, height, width];
  await writeFile(join(folder, 'task.json'), JSON.stringify({ images: shape, trainable: rest.trainable, steps, rate }));
}
