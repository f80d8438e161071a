import {
  type Backend,
  bindFeeds,
  type Executable,
  type Graph,
  GraphError,
  lowerForGpu,
  type Node,
  nodesOf,
  type OperatorName,
  operators,
  removeUnusedInputs,
  type Tensor,
  type Tensors,
  type Value,
} from '@whet/compiler';
import type { Tf, TfRule, TfTensor } from './rule.js';
import { isTrainingOperator, tfDTypes, tfRules } from './table.js';

/** Shaders address six axes. */
const MAX_RANK = 6;

/** A TensorFlow.js backend that is registered and initialized. */
export interface Registered {
  readonly tf: Tf;
  /** As TensorFlow.js names it: `webgpu`, `cpu`. */
  readonly registeredAs: string;
  /** What went wrong on the device since it was opened, which shaders do not report by themselves. */
  readonly failure?: () => string | undefined;
}

type AnyRule = TfRule<never>;

/** A node with what to do for it. Whole numbers computed from shapes stay on the host. */
interface Step {
  readonly node: Node;
  readonly rule: AnyRule | undefined;
  /** Values on the device that no later step reads. */
  readonly dead: readonly Value[];
}

function refuse(graph: Graph, nodes: readonly Node[]): void {
  const unknown = [...new Set(nodes.map(({ op }) => op).filter((op) => !isTrainingOperator(op)))].sort();
  if (unknown.length > 0) {
    throw new GraphError(`"${graph.name}": the tfjs backend has no rule for ${unknown.join(', ')}`);
  }
  for (const value of [...graph.inputs, ...nodes.map(({ output }) => output)]) {
    if (!tfDTypes[value.dtype]) {
      throw new GraphError(
        `"${graph.name}": "${value.name}": expected float32, int or bool for tfjs, got ${value.dtype}`,
      );
    }
    if (value.shape.length > MAX_RANK) {
      const shape = `[${value.shape.join(', ')}]`;
      throw new GraphError(`"${graph.name}": "${value.name}": tfjs takes up to ${MAX_RANK} axes, got ${shape}`);
    }
  }
}

const shapeOperators: ReadonlySet<OperatorName> = new Set(['Shape', 'Size']);

/** Plans a graph; throws {@link GraphError} naming all operators there is no rule for. */
function plan(graph: Graph): Step[] {
  const nodes = nodesOf(graph.outputs.values());
  const host = new Set<Value>(graph.inputs.filter(({ dtype }) => dtype === 'int64'));
  const known = (value: Value | undefined) => !value || value.constant !== undefined || host.has(value);
  const onHost = ({ op, inputs, output }: Node) =>
    shapeOperators.has(op) ||
    (output.dtype === 'int64' && inputs.every(known)) ||
    op === 'ConstantOfShape' ||
    op === 'Range';
  const hosted = new Set(
    nodes.filter((node) => {
      const here = onHost(node) && (shapeOperators.has(node.op) || node.inputs.every(known));
      if (here) host.add(node.output);
      return here;
    }),
  );
  refuse(
    graph,
    nodes.filter((node) => !hosted.has(node)),
  );
  const last = new Map<Value, number>();
  nodes.forEach(({ inputs, output }, i) => {
    for (const value of [output, ...inputs]) if (value) last.set(value, i);
  });
  const kept = new Set(graph.outputs.values());
  return nodes.map((node, i) => {
    const rule = hosted.has(node) ? undefined : (tfRules[node.op as keyof typeof tfRules] as AnyRule);
    for (const position of rule?.host ?? []) {
      if (known(node.inputs[position])) continue;
      throw new GraphError(`"${graph.name}": ${node.op} "${node.name}": input ${position} is computed on the device`);
    }
    const read = [node.output, ...node.inputs].filter((value) => value !== undefined);
    return { node, rule, dead: read.filter((value) => last.get(value) === i && !kept.has(value)) };
  });
}

const upload = (tf: Tf, { data, dtype, shape }: Tensor): TfTensor => {
  const as = tfDTypes[dtype] ?? 'float32';
  const array = { float32: Float32Array, int32: Int32Array, bool: Uint8Array }[as];
  return tf.tensor(data instanceof array ? data : array.from(data), shape as number[], as);
};

/** Interprets graphs over a TensorFlow.js backend, one kernel after the other. */
export function tfjsBackend(name: string, device: string, registered: Registered): Backend {
  return {
    name,
    device,
    compile: async (whole) => {
      // Its convolutions know no groups, which many tasks are, and not all of its backends have a weight gradient.
      const { graph } = removeUnusedInputs(lowerForGpu(whole));
      return new Interpreter(graph, registered);
    },
  };
}

class Interpreter implements Executable {
  readonly #graph: Graph;
  readonly #registered: Registered;
  readonly #steps: readonly Step[];
  /** Constants on the device; they stay there between runs. */
  readonly #constants = new Map<Value, TfTensor>();

  constructor(graph: Graph, registered: Registered) {
    this.#graph = graph;
    this.#registered = registered;
    this.#steps = plan(graph);
  }

  async run(feeds: Tensors): Promise<Map<string, Tensor>> {
    const { tf, registeredAs } = this.#registered;
    const fed = new Map(bindFeeds(this.#graph, feeds));
    this.#check();
    // Which backend is current is global to TensorFlow.js; from here to the end of the walk nothing waits.
    while (tf.getBackend() !== registeredAs) await tf.setBackend(registeredAs);
    const run = new Run(tf, this.#constants, fed);
    try {
      for (const step of this.#steps) run.take(step);
      const outputs = [...this.#graph.outputs].map(([name, value]) => [name, value, run.output(value)] as const);
      const found = await Promise.all(
        outputs.map(async ([name, value, output]) => [name, await read(value, output)] as const),
      );
      this.#check();
      return new Map(found);
    } catch (error) {
      // What a device reports arrives after what its loss made fail, and says more.
      await new Promise(setImmediate);
      this.#check();
      throw error;
    } finally {
      run.dispose();
    }
  }

  #check(): void {
    const failure = this.#registered.failure?.();
    if (failure) throw new Error(failure);
  }

  async release(): Promise<void> {
    for (const tensor of this.#constants.values()) tensor.dispose();
    this.#constants.clear();
  }
}

async function read({ dtype }: Value, output: Tensor | TfTensor): Promise<Tensor> {
  if (!('dataId' in output)) return output;
  const data = await output.data();
  return { dtype, shape: output.shape, data: data instanceof Float32Array ? data : Float64Array.from(data) };
}

/** The values of one run. */
class Run {
  readonly #tf: Tf;
  readonly #constants: Map<Value, TfTensor>;
  readonly #host: Map<Value, Tensor>;
  readonly #device = new Map<Value, TfTensor>();

  constructor(tf: Tf, constants: Map<Value, TfTensor>, fed: Map<Value, Tensor>) {
    this.#tf = tf;
    this.#constants = constants;
    this.#host = fed;
  }

  take({ node, rule, dead }: Step): void {
    const { op, inputs, attributes, output } = node;
    if (rule) {
      const host = new Set(rule.host);
      const operands = inputs.map((value, position) =>
        value && !host.has(position) ? this.#onDevice(value) : undefined,
      );
      const numbers = (position: number) => {
        const value = inputs[position];
        return value && Array.from(this.#onHost(value).data);
      };
      const call = { tf: this.#tf, inputs: operands, numbers };
      this.#device.set(
        output,
        this.#own(() => rule.run(call, attributes as never), operands),
      );
    } else {
      const operands = inputs.map((value) => value && this.#shapeOrTensor(value));
      const evaluate = operators[op].evaluate as (
        inputs: readonly (Tensor | undefined)[],
        attributes: unknown,
      ) => Tensor;
      this.#host.set(output, evaluate(operands, attributes));
    }
    for (const value of dead) {
      this.#device.get(value)?.dispose();
      this.#device.delete(value);
    }
  }

  /** A tensor of its own, so that each value can be disposed of by itself; all else that `compute` made is gone. */
  #own(compute: () => TfTensor, operands: readonly (TfTensor | undefined)[]): TfTensor {
    return this.#tf.tidy(() => {
      const result = compute();
      return operands.includes(result) ? result.clone() : result;
    });
  }

  #onHost(value: Value): Tensor {
    const tensor = value.constant ?? this.#host.get(value);
    if (!tensor) throw new GraphError(`"${value.name}" has no value on the host`);
    return tensor;
  }

  /** For Shape and Size, which need only the shape of what is on the device. */
  #shapeOrTensor(value: Value): Tensor {
    const tensor = this.#device.get(value);
    if (!tensor) return this.#onHost(value);
    return { dtype: value.dtype, shape: tensor.shape, data: new Float32Array(0) };
  }

  #onDevice(value: Value): TfTensor {
    const known = this.#constants.get(value) ?? this.#device.get(value);
    if (known) return known;
    const tensor = upload(this.#tf, this.#onHost(value));
    (value.constant ? this.#constants : this.#device).set(value, tensor);
    return tensor;
  }

  output(value: Value): Tensor | TfTensor {
    return this.#device.get(value) ?? this.#onHost(value);
  }

  dispose(): void {
    for (const tensor of this.#device.values()) tensor.dispose();
    this.#device.clear();
  }
}
