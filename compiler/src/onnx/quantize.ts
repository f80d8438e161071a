import { OnnxError } from './errors.js';
import type { AttributeMessage, ModelMessage, NodeMessage, TensorMessage } from './messages.js';
import { Quantizable } from './quantizable.js';
import { meanShift, nearestLevel, weightSteps } from './quantized-weights.js';
import { attributeTypes, dataTypes, onnxMessage } from './schema.js';

/** What an activation was seen to reach, from the least to the most. */
export type Range = readonly [min: number, max: number];

/** What was seen of an activation. */
export interface Activation {
  readonly range: Range;
  /** The mean of each channel, where a layer of products reads it; weights that are rounded then shift no mean. */
  readonly means?: Float64Array | undefined;
}

/** A layer of products whose weights and activations can be bytes. */
export interface QuantizableLayer {
  /** The tensor that it makes, which names it. */
  readonly name: string;
  readonly op: string;
}

/** What of a model can be bytes, and what has to be known of it before. */
export interface QuantizationPlan {
  readonly layers: readonly QuantizableLayer[];
  /** Layers of products that stay as they are, and why. */
  readonly left: readonly { readonly name: string; readonly op: string; readonly reason: string }[];
  /** Tensors of which {@link quantizeOnnx} takes what was seen, and which axis counts channels. */
  readonly activations: readonly { readonly name: string; readonly axis: number }[];
}

const LEVELS = 255;

/** What a model gets: constants, and the nodes that make levels of numbers and numbers of levels; their names are short, as there are many. */
class Additions {
  readonly initializers: TensorMessage[] = [];
  #count = 0;

  private put(name: string, dataType: number, dims: readonly number[], values: ArrayBufferView): string {
    const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.initializers.push({ name, dims: [...dims], dataType, rawData } as unknown as TensorMessage);
    return name;
  }

  /** A constant as levels, with a step for each place along an axis, and what makes numbers of it. */
  constant(levels: Int8Array | Int32Array, shape: readonly number[], steps: Float32Array, axis: number) {
    const name = `int8/${this.#count++}`;
    const dataType = levels instanceof Int8Array ? dataTypes.int8 : dataTypes.int32;
    const zeros = levels instanceof Int8Array ? new Int8Array(steps.length) : new Int32Array(steps.length);
    const input = [
      this.put(`${name}/levels`, dataType, shape, levels),
      this.put(`${name}/step`, dataTypes.float32, [steps.length], steps),
      this.put(`${name}/zero`, dataType, [steps.length], zeros),
    ];
    const attribute = [{ name: 'axis', type: attributeTypes.int, i: axis } as AttributeMessage];
    const node: NodeMessage = { opType: 'DequantizeLinear', input, output: [name], name, attribute };
    return { name, node };
  }

  /** What makes the nearest level of an activation `from`, and the number that stands for it, `to`. */
  activation(from: string, to: string, { scale, zero }: Steps): NodeMessage[] {
    const name = `int8/${this.#count++}`;
    const step = this.put(`${name}/step`, dataTypes.float32, [], Float32Array.of(scale));
    const level = this.put(`${name}/zero`, dataTypes.uint8, [], Uint8Array.of(zero));
    const levels = `${name}/levels`;
    return [
      { opType: 'QuantizeLinear', input: [from, step, level], output: [levels], name: levels },
      { opType: 'DequantizeLinear', input: [levels, step, level], output: [to], name },
    ];
  }
}

interface Steps {
  readonly scale: number;
  readonly zero: number;
}

/** The step between neighbours of an activation's 256 levels, and the level of 0. */
function stepsOf([min, max]: Range): Steps {
  const [low, high] = [Math.min(0, min), Math.max(0, max)];
  const scale = Math.fround((high - low) / LEVELS) || 1;
  return { scale, zero: nearestLevel(-low / scale, 0, LEVELS) };
}

function decode(model: Uint8Array, keep: ReadonlySet<string>) {
  const message = onnxMessage('ModelProto');
  const decoded = message.decode(model);
  const { graph } = decoded as unknown as ModelMessage;
  if (!graph) throw new OnnxError('not an ONNX model: the file holds no graph');
  return { graph, quantizer: new Quantizable(graph, keep), encode: () => message.encode(decoded).finish() };
}

/** What of a model that this compiler wrote, with its weights inside, can be bytes. */
export function planQuantization(model: Uint8Array): QuantizationPlan {
  const { quantizer } = decode(model, new Set());
  return {
    layers: [...quantizer.products.keys()].map(({ output: [name = ''], opType: op = '' }) => ({ name, op })),
    left: quantizer.left,
    activations: [...quantizer.bytes.keys()].map((name) => ({ name, axis: quantizer.channelAxis(name) })),
  };
}

/**
 * The same model with bytes in the layers that {@link planQuantization} names: QuantizeLinear and DequantizeLinear around them, which onnxruntime
 * fuses into its kernels over bytes, and any other runtime computes as they stand. Weights are signed, symmetric, one step for each output;
 * activations unsigned, one step for each tensor. Weights are held so small that no processor's sums of 16 bits overflow: results agree
 * across machines. `seen` has all of the plan's activations; what rounding a weight adds in the mean is taken off again in the bias.
 *
 * Layers of `keep` stay in float32. Throws {@link OnnxError} naming an activation that was not seen, or what is not finite.
 */
export function quantizeOnnx(
  model: Uint8Array,
  seen: ReadonlyMap<string, Activation>,
  keep: ReadonlySet<string> = new Set(),
): Uint8Array {
  const { graph, quantizer, encode } = decode(model, keep);
  const steps = new Map<string, Steps>();
  for (const [name, like] of quantizer.bytes) {
    const range = seen.get(like)?.range;
    if (!range?.every(Number.isFinite)) throw new OnnxError(`"${like}": expected a finite range, got [${range ?? ''}]`);
    if (seen.get(name)?.means?.every(Number.isFinite) === false) {
      throw new OnnxError(`"${name}": expected finite numbers, got others for an image`);
    }
    steps.set(name, stepsOf(range));
  }
  const added = new Additions();
  const nodes: NodeMessage[] = [];
  for (const { node, weight, bias } of quantizer.products.values()) {
    const [input = ''] = node.input;
    const { scale } = steps.get(input) as Steps;
    for (const values of [weight.values, bias]) {
      if (values?.data.every(Number.isFinite) === false) {
        throw new OnnxError(`${node.opType} "${node.output[0]}": expected finite weights`);
      }
    }
    const rows = weightSteps(weight, scale, bias?.data);
    const byte = added.constant(rows.levels, weight.values.shape, rows.steps, weight.axis);
    nodes.push(byte.node);
    node.input = [input, byte.name];
    const shift = meanShift(weight, rows, seen.get(input)?.means);
    // A product of matrices has no place for a bias.
    if (!bias && (shift.length === 0 || node.opType === 'MatMul')) continue;
    const scales = rows.steps.map((step) => step * scale);
    const levels = Int32Array.from(scales, (step, i) => Math.round(((bias?.data[i] ?? 0) - (shift[i] ?? 0)) / step));
    const shape = bias?.shape ?? [scales.length];
    const offset = added.constant(levels, shape, scales, shape.length - 1);
    nodes.push(offset.node);
    node.input.push(offset.name);
  }
  // Images keep their name, and are read as levels; all else is renamed where it is made.
  const read = new Map<string, string>();
  for (const { name } of graph.input) {
    const step = steps.get(name);
    if (!step) continue;
    read.set(name, `${name}/int8`);
    nodes.push(...added.activation(name, `${name}/int8`, step));
  }
  for (const node of graph.node) {
    node.input = node.input.map((name) => read.get(name) ?? name);
    nodes.push(node);
    for (const [place, name] of node.output.entries()) {
      const step = steps.get(name);
      if (!step) continue;
      node.output[place] = `${name}/float`;
      nodes.push(...added.activation(`${name}/float`, name, step));
    }
  }
  const inputs = new Set(nodes.flatMap(({ input }) => input));
  graph.node = nodes;
  graph.initializer = [...graph.initializer.filter(({ name }) => inputs.has(name)), ...added.initializers];
  graph.valueInfo = [];
  return encode();
}
