import assert from 'node:assert/strict';
import {
  cutOnnx,
  type ExternalReader,
  encodeOnnx,
  type Graph,
  GraphBuilder,
  inline,
  lowerForCpu,
  nodesOf,
  type Value,
} from '@whet/compiler';
import * as ort from 'onnxruntime-node';
import { lengthPerImage, unpack } from '../pattern/split-network.js';
import { agree, cutAt, fileTensorsOf } from './exported-prefix.js';
import { CompileError } from './read/compile-error.js';
import type { ModelParameter } from './read/model-parameters.js';
import { runBatches, runOne, waves } from './read/probe-tensors.js';
import type { SourceModel } from './read/read-model.js';

/** A feature graph behind what is frozen of it. */
export interface MovingPart {
  /** From what is cached of an image, as `images`, and the moving values, to `features`. */
  readonly graph: Graph;
  /** The values that are cached; several lie side by side in one row. */
  readonly frozen: readonly Value[];
}

/**
 * The last values that no moving one decides, that the file has, and that belong to one image each. What stands between
 * them and the moving values (a step of an operator that was rewritten, a transposed batch) is computed in every step.
 */
function frozenValues(whole: Graph, moving: ReadonlySet<string>, isInFile: (value: Value) => boolean): Value[] {
  const moved = new Set(whole.inputs.filter(({ name }) => moving.has(name)));
  const ofImages = new Set(whole.inputs.filter(({ name }) => !moving.has(name)));
  for (const { inputs, output } of nodesOf(whole.outputs.values())) {
    if (inputs.some((input) => input && moved.has(input))) moved.add(output);
    if (inputs.some((input) => input && ofImages.has(input))) ofImages.add(output);
  }
  const isCached = (value: Value) =>
    value.dtype === 'float32' &&
    value.shape[0] === 'N' &&
    value.shape.slice(1).every((dim) => typeof dim === 'number') &&
    (!value.producer || isInFile(value));
  const frozen = new Set<Value>();
  const seen = new Set<Value>();
  const open = [...whole.outputs.values()];
  for (let value = open.pop(); value; value = open.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    if (!moved.has(value) && !ofImages.has(value)) continue;
    if (!moved.has(value) && isCached(value)) frozen.add(value);
    else for (const input of value.producer?.inputs ?? []) if (input) open.push(input);
  }
  return [...frozen].sort((a, b) => a.index - b.index);
}

/** Splits a feature graph where its frozen part has to be the file's own. */
export function movingPart(model: SourceModel, whole: Graph, moving: ReadonlySet<string>): MovingPart {
  const frozen = frozenValues(whole, moving, (value) =>
    fileTensorsOf(model, value).every((tensor) => model.tensors.has(tensor)),
  );
  const [only] = frozen;
  // Features depend on the images, and an image is a value of its own.
  assert(only);
  const g = new GraphBuilder();
  const bindings = new Map<Value, Value>();
  const images = g.input('images', frozen.length === 1 ? only.shape : ['N', lengthPerImage(frozen)]);
  unpack(g, images, frozen).forEach((copy, i) => {
    bindings.set(frozen[i] as Value, copy);
  });
  const moved = whole.inputs
    .filter(({ name }) => moving.has(name))
    .map((input) => [input, g.input(input.name, input.shape)] as const);
  for (const [input, copy] of moved) bindings.set(input, copy);
  const outputs = inline(g, whole, bindings);
  return { graph: { name: whole.name, inputs: [images, ...moved.map(([, copy]) => copy)], outputs }, frozen };
}

/** `true` where what is cached of an image is the image. */
export const isImage = ({ input }: SourceModel, [first, ...others]: readonly Value[]): boolean =>
  first !== undefined && others.length === 0 && !first.producer && first.name === input.name;

/**
 * The frozen part of a model, cut out of its file. It is run on two and on three images, as nothing else tells whether
 * it takes any number of them. Throws {@link CompileError} where it does not.
 */
export async function frozenPart(
  model: SourceModel,
  frozen: readonly Value[],
  cached: readonly number[],
  external: ExternalReader | undefined,
): Promise<Uint8Array> {
  const end = cutAt(model, frozen);
  const bytes = cutOnnx(model.file, {
    input: { tensor: model.input.name, name: 'images', shape: ['N', ...model.input.shape] },
    output: { ...end, name: 'features', shape: ['N', ...cached] },
    ...(external ? { external } : {}),
  });
  // Frozen values are the file's, and depend on the images.
  assert(bytes);
  const batches = [
    [0, 1],
    [0, 1, 2],
  ];
  const runs = await runBatches(bytes, model.input, 'images', batches);
  for (const [i, { length: count }] of batches.entries()) {
    const { dims, type } = runs[i]?.['features'] ?? { dims: [], type: 'nothing' };
    const expected = [count, ...cached];
    if (type === 'float32' && dims.join() === expected.join()) continue;
    throw new CompileError(
      `the frozen part up to ${end.tensors.join(', ')}: expected float32 [${expected}] for ${count} images, ` +
        `onnxruntime makes ${type} [${dims.join(', ')}]`,
    );
  }
  return bytes;
}

const startOf = ({ value, shape }: ModelParameter): ort.Tensor =>
  new ort.Tensor('float32', Float32Array.from(value.constant?.data ?? []), [...shape]);

/**
 * Throws {@link CompileError} where the features, made of what is cached by the nodes that were read, are not those of
 * the file. Not where quantized activations move: there they differ by the rounding that is left out.
 */
export async function checkMovingPart(
  model: SourceModel,
  { graph, frozen }: MovingPart,
  encode: Uint8Array | undefined,
  moving: readonly ModelParameter[],
  external: ExternalReader | undefined,
): Promise<void> {
  const nodes = nodesOf(graph.outputs.values());
  if (nodes.length === 0 || nodes.some(({ output }) => model.dequantized.has(output.name))) return;
  const { mean, length } = model.layout;
  const whole = cutOnnx(model.file, {
    input: { tensor: model.input.name, name: 'images', shape: ['N', ...model.input.shape] },
    output: {
      tensors: [model.features],
      name: 'features',
      shape: ['N', length],
      means: [mean],
      flatten: mean.length === 0,
    },
    ...(external ? { external } : {}),
  });
  if (!whole) return;
  const images = waves(model.input, [0, 1]);
  const expected = await runOne(whole, { images });
  const cached = encode ? await runOne(encode, { images }) : images;
  const starts = Object.fromEntries(moving.map((parameter) => [parameter.name, startOf(parameter)] as const));
  const actual = await runOne(encodeOnnx(lowerForCpu(graph)), { images: cached, ...starts });
  if (agree(actual, expected)) return;
  const tensors = frozen.flatMap((value) => fileTensorsOf(model, value).map((tensor) => `"${tensor}"`)).join(', ');
  throw new CompileError(`the features made of ${tensors} by the nodes that were read are not those of the file`);
}
