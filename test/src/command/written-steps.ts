import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  copyInputs,
  decodeModel,
  decodeTensor,
  evaluate,
  GraphBuilder,
  gradients,
  inline,
  makeTensor,
  readOnnx,
  type Value,
} from '@whet/compiler';
import { readSafetensors } from '@whet/runtime/format';

type Numbers = ArrayLike<number>;

/** Mean cross-entropy of rows of logits, and how it changes with each. */
function crossEntropy(logits: Numbers, labels: readonly number[]): { loss: number; cotangent: number[] } {
  const ways = logits.length / labels.length;
  let loss = 0;
  const cotangent = labels.flatMap((label, row) => {
    const exps = Array.from({ length: ways }, (_, i) => Math.exp(logits[row * ways + i] as number));
    const sum = exps.reduce((a, b) => a + b, 0);
    loss -= Math.log((exps[label] as number) / sum) / labels.length;
    return exps.map((each, i) => (each / sum - (i === label ? 1 : 0)) / labels.length);
  });
  return { loss, cotangent };
}

/** The losses of the steps that a task's folder asks for, taken in float64 by what stands in it alone; `features` are of its images. */
export async function takeWrittenSteps(folder: string, features: Numbers, featureShape: readonly number[]) {
  const read = (name: string) => readFile(join(folder, name));
  const { steps, rate, trainable } = JSON.parse(String(await read('task.json')));
  const labels = Array.from(
    readSafetensors(await read('examples.safetensors')).tensors.get('labels')?.data ?? [],
    Number,
  );
  const bytes = await read('rest.onnx');
  const starts = decodeModel(bytes)
    .initializers.filter(({ name }) => trainable.includes(name))
    .map((each) => [each.name, decodeTensor(each)] as const);
  const moving = new Map(starts.map(([name, { data }]) => [name, Float64Array.from(data as ArrayLike<number>)]));
  // What moves is an input: no constant that may be folded.
  const given = new Map(starts.map(([name, { shape }]) => [name, shape]));
  const written = readOnnx(bytes, { given, inputShapes: { features: featureShape } });
  const g = new GraphBuilder();
  const bindings = copyInputs(g, written);
  const logits = inline(g, written, bindings).get('logits') as Value;
  const cotangent = g.input('cotangent', logits.shape, logits.dtype);
  const inputs = [...bindings.values()];
  const byName = new Map(inputs.map((value) => [value.name, value]));
  const wrt = [...moving.keys()].map((name) => byName.get(name) as Value);
  const changes = gradients(g, logits, wrt, cotangent).map((value, i) => [`${i}`, value as Value] as const);
  const forward = { name: 'logits', inputs, outputs: new Map([['logits', logits]]) };
  const backward = { name: 'gradients', inputs: [...inputs, cotangent], outputs: new Map(changes) };

  const tensorOf = (value: Value, data: Numbers) => makeTensor(value.shape as number[], Array.from(data), value.dtype);
  const losses: number[] = [];
  for (let step = 0; step <= steps; step++) {
    const feeds = new Map(inputs.map((value) => [value.name, tensorOf(value, moving.get(value.name) ?? features)]));
    const now = crossEntropy(evaluate(forward, feeds).get('logits')?.data as ArrayLike<number>, labels);
    losses.push(now.loss);
    const came = evaluate(backward, feeds.set('cotangent', tensorOf(cotangent, now.cotangent)));
    for (const [i, own] of [...moving.values()].entries()) {
      const change = came.get(`${i}`)?.data as ArrayLike<number>;
      for (let at = 0; at < own.length; at++) own[at] = (own[at] as number) - rate * (change[at] as number);
    }
  }
  return { losses, moved: moving.size };
}
