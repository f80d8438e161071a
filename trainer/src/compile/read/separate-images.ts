import { decodeModel, type ExternalReader, exposeOnnx, type OnnxNode } from '@whet/compiler';
import type * as ort from 'onnxruntime-node';
import { mayWorkAcross, worksAcross } from './across-images.js';
import { chosenTogether, madeOfValues } from './chosen-together.js';
import { CompileError } from './compile-error.js';
import { isOverLimit } from './guarded-run.js';
import { imageAxis, type TwoSizes } from './image-axis.js';
import type { ModelInput } from './model-input.js';
import { NodeGraph } from './node-graph.js';
import { runBatches } from './probe-tensors.js';

/** Images 0 and 1 are in both, at other places and beside another one. */
const TOGETHER = [
  [0, 1],
  [1, 0, 2],
] as const;
const SHARED = [0, 1];
/** What is to be made of them, whoever asks how many images there are. */
const ALONE = SHARED.map((image) => [image]);

/**
 * How far what is made of one image may be apart, of the largest value: by the rounding of float32 alone, or where a
 * rounding in between makes steps of it. A dynamic quantization takes its range of all images, which is its own way.
 */
const tolerances = { float: 1e-3, steps: 0.05, dynamic: 0.3 };
const stepping = /Quantize|QLinear|QGemm|Integer|^(Round|Floor|Ceil|ArgMax|ArgMin|TopK)$/;
const HALF = new Set([10, 16]);

function toleranceFor({ nodes, model }: NodeGraph): number {
  if (nodes.some(({ op }) => op.startsWith('Dynamic'))) return tolerances.dynamic;
  const half = [...model.inputs, ...model.initializers].some(({ dataType }) => HALF.has(dataType));
  return half || nodes.some(({ op }) => stepping.test(op)) ? tolerances.steps : tolerances.float;
}

const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** The part of a tensor that is of the image at `place` of `count`. */
function partOf({ data, dims }: ort.Tensor, axis: number, place: number, count: number): number[] {
  const values = data as unknown as ArrayLike<number | bigint>;
  if (axis < 0) return Array.from(values, Number);
  const run = product(dims.slice(axis)) / count;
  const part: number[] = [];
  for (let at = place * run; at < values.length; at += run * count) {
    for (let i = at; i < at + run; i++) part.push(Number(values[i]));
  }
  return part;
}

/** A tensor of one run, and the images that it was made of. */
interface Made {
  readonly batch: readonly number[];
  readonly tensor: ort.Tensor;
}

/** Whether what is made of an image depends on what else is in its batch, or on chance. The first two are {@link TOGETHER}. */
function isMixed(made: readonly Made[], tolerance: number): boolean {
  const [two, three] = made.map(({ tensor }) => tensor) as [ort.Tensor, ort.Tensor];
  if (two.type === 'string') return false;
  const axis = imageAxis([two.dims, three.dims]);
  // How many images there are is no mixing itself, but what is computed of it.
  if (axis === undefined || (axis < 0 && !two.type.startsWith('float'))) return false;
  const ofImage = (image: number) => made.filter(({ batch }) => batch.includes(image));
  const groups = axis < 0 ? [made] : SHARED.map(ofImage);
  const parts = groups.map((group, image) =>
    group.map(({ batch, tensor }) => partOf(tensor, axis, batch.indexOf(image), batch.length)),
  );
  const scale = parts.flat(2).reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-6);
  const differ = (a: readonly number[], b: readonly number[]) =>
    a.length !== b.length || a.some((value, i) => Math.abs(value - (b[i] as number)) > tolerance * scale);
  return parts.some(([first = [], ...others]) => others.some((other) => differ(first, other)));
}

/** A model to be looked at: up to a tensor, on batches of an input. */
export interface LookedAt {
  readonly bytes: Uint8Array;
  readonly input: ModelInput;
  /** What the input is called in `bytes`. */
  readonly inputName: string;
  readonly tensor: string;
  readonly external?: ExternalReader | undefined;
}

/** What some tensors are for the first two batches, one result each. */
async function runTogether(tensors: readonly string[], { bytes, input, inputName, external }: LookedAt) {
  const exposed = exposeOnnx(
    bytes,
    [...new Set(tensors)],
    { tensor: inputName, shape: ['N', ...input.shape] },
    external,
  );
  const runs = await runBatches(exposed, input, inputName, TOGETHER);
  const sizesOf = (name: string) => runs.map((run) => run[name]?.dims ?? []) as unknown as TwoSizes;
  return { sizesOf, typeOf: (name: string) => runs[0]?.[name]?.type ?? '' };
}

/** The first node that computes across images by what it is, however little of that shows. */
async function nodeAcross(nodes: NodeGraph, view: LookedAt) {
  const made = (name: string | undefined) => name !== undefined && nodes.maker(name) !== undefined;
  const found = nodes.nodes.filter((node) => mayWorkAcross(node) && made(node.inputs[0]) && made(node.outputs[0]));
  if (found.length === 0) return undefined;
  const endsOf = ({ inputs, outputs }: OnnxNode) => [inputs[0], outputs[0]] as [string, string];
  const { sizesOf, typeOf } = await runTogether(found.flatMap(endsOf), view);
  return found.find((node) => {
    const [from, to] = endsOf(node);
    return typeOf(from).startsWith('float') && worksAcross(node, nodes.model.opset, sizesOf(from), sizesOf(to));
  });
}

/** The first node that goes one way for all images of a batch, by what is in them: that may show on other images only. */
async function nodeForAll(nodes: NodeGraph, view: LookedAt): Promise<OnnxNode | undefined> {
  const values = madeOfValues(nodes.nodes, [view.inputName]);
  const chosen = chosenTogether(nodes.nodes, values);
  if (chosen) return chosen;
  const conditionOf = ({ inputs }: OnnxNode) => inputs[0] ?? '';
  const wheres = nodes.nodes.filter(
    (node) => node.op === 'Where' && node.domain === 'ai.onnx' && values.has(conditionOf(node)),
  );
  if (wheres.length === 0) return undefined;
  const { sizesOf } = await runTogether(wheres.map(conditionOf), view);
  return wheres.find((node) => imageAxis(sizesOf(conditionOf(node))) === -1);
}

/**
 * The first node where what the model makes of an image depends on the other images of its batch, or on chance;
 * undefined where nothing does. Throws {@link CompileError} where onnxruntime does not run the model on such batches.
 */
async function mixingNode(view: LookedAt): Promise<OnnxNode | undefined> {
  const { bytes, input, inputName, tensor, external } = view;
  const nodes = new NodeGraph(decodeModel(bytes), [tensor]);
  const shape = ['N', ...input.shape];
  const tolerance = toleranceFor(nodes);
  const mixedOf = async (tensors: readonly string[]): Promise<Set<string>> => {
    const exposed = exposeOnnx(bytes, tensors, { tensor: inputName, shape }, external);
    const run = (batches: readonly (readonly number[])[]) => runBatches(exposed, input, inputName, batches);
    let batches: readonly (readonly number[])[] = [...TOGETHER, ...ALONE];
    const runs = await run(batches).catch((error) => {
      if (isOverLimit(error)) throw error;
      // Some take no image alone.
      batches = TOGETHER;
      return run(batches);
    });
    const madeOf = (name: string) =>
      runs.map((made, i) => ({ batch: batches[i] as readonly number[], tensor: made[name] as ort.Tensor }));
    return new Set(tensors.filter((name) => isMixed(madeOf(name), tolerance)));
  };
  if ((await mixedOf([tensor])).size === 0) {
    const across = tolerance > tolerances.float ? await nodeAcross(nodes, view) : undefined;
    return across ?? nodeForAll(nodes, view);
  }
  const made = nodes.nodes.flatMap(({ outputs }) => outputs.filter((name) => name !== ''));
  // Some operators make what is no tensor, which cannot be looked at.
  const mixed = await mixedOf(made).catch((error) => {
    if (isOverLimit(error)) throw error;
    return new Set<string>();
  });
  // Others may show nothing when they are looked at, as chance, or what onnxruntime leaves out otherwise.
  mixed.add(tensor);
  return nodes.nodes.find(({ outputs }) => outputs.some((name) => mixed.has(name)));
}

/**
 * Throws {@link CompileError} naming the node that mixes images: a bundle predicts each by itself. Of several views of
 * one model, the first that onnxruntime runs is looked at.
 */
export async function expectSeparateImages(views: readonly (() => LookedAt)[]): Promise<void> {
  for (const [i, view] of views.entries()) {
    let node: OnnxNode | undefined;
    try {
      node = await mixingNode(view());
    } catch (error) {
      if (i + 1 < views.length && error instanceof CompileError && !isOverLimit(error)) continue;
      throw error;
    }
    if (!node) return;
    throw new CompileError(
      `${node.op} "${node.name}": what it makes of an image depends on the other images of its batch, or on chance; a ` +
        'bundle predicts each image by itself: export the model for inference (model.eval()), or name features below it',
    );
  }
}
