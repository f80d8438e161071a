import { anyBatch, decodeModel, type ExternalReader, exposeOnnx, type OnnxNode } from '@whet/compiler';
import type * as ort from 'onnxruntime-node';
import { type BatchError, CompileError } from './compile-error.js';
import { mainOutput } from './main-output.js';
import type { ModelInput } from './model-input.js';
import { NodeGraph } from './node-graph.js';
import { runBatches } from './probe-tensors.js';

/** How far both may be apart, of the largest value. */
const TOLERANCE = 1e-3;
/** Operators by which a file may hold that there is one image. */
const holding = new Set(['Reshape', 'Squeeze', 'Flatten', 'Unsqueeze', 'Expand', 'Concat', 'Resize', 'Tile']);

const numbersOf = (tensor: ort.Tensor | undefined): number[] =>
  Array.from((tensor?.data ?? []) as unknown as ArrayLike<number | bigint>, Number);

function agree(a: readonly number[], b: readonly number[]): boolean {
  const scale = b.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-6);
  return a.length === b.length && a.every((value, i) => Math.abs(value - (b[i] as number)) <= TOLERANCE * scale);
}

/** Runs of the main output, as numbers; undefined where onnxruntime does not run that. */
async function outputsOf(
  bytes: Uint8Array,
  output: string,
  input: ModelInput,
  batches: readonly (readonly number[])[],
  external: ExternalReader | undefined,
): Promise<number[][] | undefined> {
  const exposed = exposeOnnx(bytes, [output], { tensor: input.name, shape: ['N', ...input.shape] }, external);
  const runs = await runBatches(exposed, input, input.name, batches).catch(() => undefined);
  return runs?.map((run) => numbersOf(run[output]));
}

/** What stands in the way, with the nodes that may hold it. */
function oneImageError(cause: BatchError, above: readonly OnnxNode[]): CompileError {
  const held = above.filter(({ op }) => holding.has(op)).map(({ op, name }) => `${op} "${name}"`);
  const shown = held.slice(0, 5).join(', ') + (held.length > 5 ? ` and ${held.length - 5} more` : '');
  return new CompileError(
    `the model takes one image at a time only${shown ? `, as ${shown} may hold` : ''}; export the model with a batch axis ` +
      `that is not fixed (dynamic): ${cause.reason}`,
    { cause },
  );
}

/**
 * A model that was written for one image at a time, rewritten for any number: it makes of two what the file makes of
 * each. Throws {@link CompileError} naming what holds it to one where there is no such way.
 */
export async function rewriteBatch(
  bytes: Uint8Array,
  input: ModelInput,
  cause: BatchError,
  external: ExternalReader | undefined,
): Promise<Uint8Array> {
  const nodes = new NodeGraph(decodeModel(bytes));
  const above = [...nodes.above([input.name])];
  const tensors = above.flatMap(({ outputs }) => outputs.filter((name) => name !== ''));
  const { name: output } = mainOutput(nodes, input.name);
  const failed = () => oneImageError(cause, above);
  const singles = await outputsOf(bytes, output, input, [[0], [1]], external);
  if (!singles) throw failed();
  const shape = ['N', ...input.shape];
  const exposed = exposeOnnx(bytes, tensors, { tensor: input.name, shape }, external);
  const [one] = await runBatches(exposed, input, input.name, [[0]]).catch(() => []);
  if (!one) throw failed();
  const sizes = new Map(tensors.map((name) => [name, one[name]?.dims ?? []]));
  const rewritten = anyBatch(bytes, input.name, new Map([...sizes, [input.name, [1, ...input.shape]]]));
  const found = rewritten && (await outputsOf(rewritten, output, input, [[0], [1], [0, 1]], external));
  const [first = [], second = [], both = []] = found ?? [];
  const [a = [], b = []] = singles;
  if (!rewritten || !found || !agree(first, a) || !agree(second, b) || !agree(both, [...a, ...b])) throw failed();
  return rewritten;
}
