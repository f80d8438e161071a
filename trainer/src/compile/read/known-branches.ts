import { decodeModel, type ExternalReader, expandOnnx, exposeOnnx, type Shape, type Tensor } from '@whet/compiler';
import type * as ort from 'onnxruntime-node';
import { isSizing, madeOfValues } from './chosen-together.js';
import { isOverLimit } from './guarded-run.js';
import type { ModelInput } from './model-input.js';
import { NodeGraph } from './node-graph.js';
import { constantOf, runBatches } from './probe-tensors.js';

/** Branches may hold further ones; of real models, two rounds is much. */
const MOST_ROUNDS = 16;

/** Tensors that say which way Ifs go: constants by their values, others by their sizes. */
interface Deciding {
  readonly constants: ReadonlySet<string>;
  readonly sized: ReadonlySet<string>;
}

/** What decides the Ifs that no image decides, as far as nodes make it. */
function decidingTensors(bytes: Uint8Array, image: string): Deciding {
  const [constants, sized] = [new Set<string>(), new Set<string>()];
  const model = decodeModel(bytes);
  if (!model.nodes.some(({ op }) => op === 'If')) return { constants, sized };
  const nodes = new NodeGraph(model);
  const values = madeOfValues(nodes.nodes, [image]);
  const conditions = nodes.nodes.flatMap(({ op, domain, inputs: [condition = ''] }) =>
    op === 'If' && domain === 'ai.onnx' && !values.has(condition) ? [condition] : [],
  );
  const ofImages = nodes.above([image]);
  const isConstant = (name: string) => {
    const maker = nodes.maker(name);
    return maker !== undefined && !ofImages.has(maker);
  };
  for (const name of conditions) if (isConstant(name)) constants.add(name);
  for (const node of nodes.below(conditions)) {
    if (!ofImages.has(node) || node.outputs.every((name) => values.has(name))) continue;
    for (const name of nodes.readBy(node)) {
      if (isConstant(name)) constants.add(name);
      else if (isSizing(node) && nodes.maker(name)) sized.add(name);
    }
  }
  return { constants, sized };
}

/** The sizes of a tensor for two, three and one images; an axis that they differ in is a symbol, the images' own where it counts them. */
function shapeOf(name: string, [two = [], three = [], one = []]: readonly (readonly number[])[]): Shape | undefined {
  if (two.length !== three.length || two.length !== one.length) return undefined;
  return two.map((size, axis) => {
    const [more, single] = [three[axis], one[axis]];
    if (size === more && size === single) return size;
    return size === 2 && more === 3 && single === 1 ? 'N' : `${name}_${axis}`;
  });
}

/**
 * The model with the branches in place of the Ifs whose condition follows from constants and sizes that an operator makes which is not read:
 * onnxruntime says what these are.
 */
export async function withKnownBranches(
  file: Uint8Array,
  input: ModelInput,
  external: ExternalReader | undefined,
): Promise<Uint8Array> {
  const shape = ['N', ...input.shape];
  const options = { inputShapes: { [input.name]: shape }, ...(external ? { external } : {}) };
  let bytes = file;
  const tried = new Set<string>();
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const { constants, sized } = decidingTensors(bytes, input.name);
    const wanted = [...constants, ...sized];
    if (wanted.every((name) => tried.has(name))) break;
    for (const name of wanted) tried.add(name);
    const exposed = exposeOnnx(bytes, wanted, { tensor: input.name, shape }, external);
    const run = (batches: readonly (readonly number[])[]) =>
      runBatches(exposed, input, input.name, batches).catch((error) => {
        if (isOverLimit(error)) throw error;
        return undefined;
      });
    // Some take one image at a time.
    const runs =
      (await run([[0, 1], [0, 1, 2], [0]])) ?? (await run([[0]]).then((found) => found?.concat(found, found)));
    const given = givenOf(constants, wanted, runs ?? []);
    if (given.size > 0) bytes = expandOnnx(bytes, { ...options, given });
  }
  return bytes;
}

function givenOf(
  constants: ReadonlySet<string>,
  wanted: readonly string[],
  runs: readonly ort.InferenceSession.ReturnType[],
): Map<string, Shape | Tensor> {
  const given = new Map<string, Shape | Tensor>();
  for (const name of wanted) {
    const made = runs.map((run) => run[name]);
    const [first] = made;
    if (!first) continue;
    const constant = constants.has(name) ? constantOf(first) : undefined;
    const found =
      constant?.kind === 'constant'
        ? constant.value
        : constant
          ? undefined
          : shapeOf(
              name,
              made.map((each) => each?.dims ?? []),
            );
    if (found) given.set(name, found);
  }
  return given;
}
