import {
  type ExternalReader,
  firstOutput,
  type Graph,
  GraphBuilder,
  listProblems,
  OnnxError,
  type OnnxNode,
  type OnnxProblem,
  READ_OPSETS,
  readOnnx,
  type Shape,
  type Tensor,
} from '@whet/compiler';
import { BatchError, CompileError } from './compile-error.js';
import type { ModelInput } from './model-input.js';
import type { NodeGraph } from './node-graph.js';
import { type Measured, measureTensors } from './probe-tensors.js';

/** The part of a model that can be differentiated: everything that no node stands above which cannot. */
export interface ReadablePart {
  /** From the images, and tensors that the runtime has to make, to the features under their name in the file. */
  readonly graph: Graph;
  /** Nodes that are not read, each needed for the features. */
  readonly problems: readonly OnnxProblem[];
  /** Those of them that stand there only because they read what others make. */
  readonly consequences: ReadonlySet<OnnxProblem>;
  /** These nodes and all below them: the runtime runs them as they are. */
  readonly opaque: ReadonlySet<OnnxNode>;
}

export const problemOf = (node: OnnxNode, reason?: string): OnnxProblem => ({
  op: node.op,
  domain: node.domain,
  node: node.name,
  output: firstOutput(node),
  ...(reason === undefined ? {} : { reason }),
});

/** What the opaque nodes hand to the others. */
function boundaryOf(nodes: NodeGraph, opaque: ReadonlySet<OnnxNode>, features: string): string[] {
  const readers = nodes.nodes.filter((node) => !opaque.has(node)).flatMap((node) => nodes.readBy(node));
  return [...new Set([...readers, features])].filter((name) => {
    const maker = nodes.maker(name);
    return maker && opaque.has(maker);
  });
}

function givenOf(measured: ReadonlyMap<string, Measured>): Map<string, Shape | Tensor> {
  const given = new Map<string, Shape | Tensor>();
  for (const [name, found] of measured) {
    if (found.kind === 'batch') given.set(name, found.shape);
    if (found.kind === 'constant') given.set(name, found.value);
  }
  return given;
}

/** Why a part was left to the runtime, which does not run it either: its nodes, that can be named here. */
function listUnread(unread: ReadonlyMap<string, OnnxProblem>, consequences: ReadonlySet<OnnxProblem>): string {
  const lines = listProblems([...unread.values()].filter((problem) => !consequences.has(problem)));
  if (lines.length === 0) return '';
  const shown = lines.slice(0, 5).map((line) => (line.length > 300 ? `${line.slice(0, 300)}...` : line));
  const more = lines.length > shown.length ? [`and ${lines.length - shown.length} more`] : [];
  return ['\nit is left to onnxruntime because of', ...shown, ...more].join('\n  ');
}

/** How often a model is read again; of real ones, three times is much. What is left then stays as exported. */
export const MOST_ROUNDS = 32;

/**
 * Reads what stands above the nodes that cannot be read. Reading that may show further ones, which nothing was known of
 * as long as their inputs had no shape, so it goes on until the rest is read; of any model at least the features are.
 */
export async function readAbove(
  bytes: Uint8Array,
  nodes: NodeGraph,
  input: ModelInput,
  features: string,
  external: ExternalReader | undefined,
): Promise<ReadablePart> {
  const { model } = nodes;
  const unread = new Map<string, OnnxProblem>();
  const consequences = new Set<OnnxProblem>();
  const add = (problem: OnnxProblem) => unread.set(problem.output, problem);
  if (model.opset < READ_OPSETS.oldest || model.opset > READ_OPSETS.newest) {
    const { oldest, newest } = READ_OPSETS;
    const reason = `is of operator set ${model.opset}; ${oldest} to ${newest} can be read`;
    for (const node of nodes.nodes) add(problemOf(node, reason));
  }
  const ofImages = nodes.above([input.name]);
  for (let round = 0; ; round++) {
    if (round >= MOST_ROUNDS)
      for (const node of nodes.nodes) add(problemOf(node, 'stands between nodes that are not read'));
    const opaque = nodes.below(unread.keys());
    const boundary = boundaryOf(nodes, opaque, features);
    const constants = new Set(boundary.filter((name) => !ofImages.has(nodes.maker(name) as OnnxNode)));
    const measured = await measureTensors(bytes, model, input, boundary, constants, external).catch(
      (cause: unknown) => {
        if (!(cause instanceof CompileError)) throw cause;
        const message = `${cause.message}${listUnread(unread, consequences)}`;
        throw cause instanceof BatchError
          ? new BatchError(message, { cause, reason: cause.reason })
          : new CompileError(message, { cause: cause.cause });
      },
    );
    const before = unread.size;
    for (const [name, found] of measured) {
      if (found.kind !== 'other') continue;
      if (name === features) {
        const message = `features "${name}": expected float32 [N, ...], got ${found.what}; name another tensor`;
        throw found.fixed ? new BatchError(message) : new CompileError(message);
      }
      // The arithmetic of shapes can be read again above the cut, whatever else it is for.
      if ([...nodes.below([name])].every(({ outputs }) => !unread.has(outputs[0] ?? ''))) continue;
      for (const node of nodes.readersOf(name)) {
        if (opaque.has(node)) continue;
        const consequence = problemOf(node, `reads "${name}" (${found.what}) of a part that is not read`);
        consequences.add(consequence);
        add(consequence);
      }
    }
    if (unread.size > before) continue;
    const found = measured.get(features);
    if (found?.kind === 'batch') {
      const value = new GraphBuilder().input(features, found.shape);
      const graph = { name: 'features', inputs: [value], outputs: new Map([[features, value]]) };
      return { graph, problems: [...unread.values()], consequences, opaque };
    }
    try {
      const graph = readOnnx(bytes, {
        inputShapes: { [input.name]: ['N', ...input.shape] },
        outputs: [features],
        given: givenOf(measured),
        quantization: 'straight-through',
        ...(external ? { external } : {}),
      });
      return { graph, problems: [...unread.values()], consequences, opaque };
    } catch (error) {
      if (!(error instanceof OnnxError) || error.problems.length === 0) throw error;
      for (const problem of error.problems) add(problem);
      if (unread.size === before) throw error;
    }
  }
}
