import { nodesOf, type Value } from '@whet/compiler';
import type { ParameterSpec } from '@whet/models';
import { checkMovable } from '../compile/compile-checks.js';
import { CompileError } from '../compile/read/compile-error.js';
import type { ModelParameter } from '../compile/read/model-parameters.js';
import type { SourceModel } from '../compile/read/read-model.js';
import { selectParameters } from '../compile/select-parameters.js';
import { channelAxisOf, layersOfChannels } from '../network/parameter-roles.js';
import { innerParametersOf, type ParameterMask } from '../task/inner-parameters.js';

/** What one mask logit opens or closes: a weight, an output channel of a layer, a tensor, or a block with what stands above it. */
export const candidateGranularities = ['weight', 'channel', 'tensor', 'block'] as const;
export type CandidateGranularity = (typeof candidateGranularities)[number];

/** A tensor of a model that inner steps may move, if its mask lets them. */
export interface Candidate {
  /** What graphs call it. */
  readonly name: string;
  readonly parameter: ModelParameter;
  /** The number of its block, the last one below the head being 1; what stands above a block is counted to it. */
  readonly block: number;
  /** Where it starts, as the file has it. */
  readonly start: Float32Array;
  readonly mask: ParameterMask;
  /** Of each of its entries, the place of its logit among the mask's. */
  readonly places: Int32Array;
}

/** What may move in a model. */
export interface Candidates {
  /** From the image upward. */
  readonly tensors: readonly Candidate[];
  /** Whose starts are learned. */
  readonly learned: ReadonlySet<string>;
}

export interface CandidateOptions {
  /** Selections of `whet compile`: `blocks:5`, `last:3`, names, globs. */
  readonly trainable: readonly string[];
  readonly granularity: CandidateGranularity;
  /** Selections among the candidates whose start weights are learned; none when absent. */
  readonly learnWeights?: readonly string[] | undefined;
  /** The deepest block that may move, counted from the head; all that are selected when absent. */
  readonly deepest?: number | undefined;
}

/** The block of each parameter of a model, counted from the head; below the first block it is one more than there are. */
function blockNumbers({ sections }: SourceModel): Map<ModelParameter, number> {
  const found = new Map<ModelParameter, number>();
  let block = sections.filter((section) => section.block !== undefined).length + 1;
  for (const section of sections) {
    block = section.block ?? block;
    for (const parameter of section.parameters) found.set(parameter, block);
  }
  return found;
}

/** Parameters as what masks cover, their layer being what shares a mask. */
function specsOf(
  model: SourceModel,
  moving: readonly ModelParameter[],
  blocks: ReadonlyMap<ModelParameter, number>,
  granularity: CandidateGranularity,
): ParameterSpec[] {
  const graph = model.featureGraph(moving);
  const nodes = nodesOf(graph.outputs.values());
  const inputs = new Map(graph.inputs.map((input) => [input.name, input]));
  const specs = moving.map((parameter): ParameterSpec => {
    const { name, shape, layer } = parameter;
    const shared = { tensor: name, block: `block-${blocks.get(parameter)}`, channel: layer, weight: layer }[
      granularity
    ];
    return {
      name,
      shape,
      layer: shared,
      initializer: { kind: 'given', values: new Float32Array() },
      channelAxis: channelAxisOf(nodes, inputs.get(name) as Value),
    };
  });
  return granularity === 'channel' ? layersOfChannels(specs) : specs;
}

/**
 * What may move in a model, and how masks cover it. Throws {@link CompileError} where nothing is chosen, something below nodes that cannot
 * be differentiated is, or weights are to be learned that are no candidates.
 */
export function chooseCandidates(model: SourceModel, options: CandidateOptions): Candidates {
  const { trainable, granularity, learnWeights = [], deepest = Number.POSITIVE_INFINITY } = options;
  const blocks = blockNumbers(model);
  const moving = selectParameters(trainable, model).filter((parameter) => (blocks.get(parameter) ?? 0) <= deepest);
  if (moving.length === 0) {
    throw new CompileError(
      `candidates ${trainable.join(', ')}: expected parameters below the head that may move, got none; choose blocks:1 or last:1 up`,
    );
  }
  checkMovable(model, 'what is chosen', moving);
  const specs = specsOf(model, moving, blocks, granularity);
  const inner = innerParametersOf(specs, granularity === 'tensor' || granularity === 'block' ? 'layer' : granularity);
  const tensors = moving.map((parameter, i): Candidate => {
    const { name, value } = parameter;
    const start = Float32Array.from(value.constant?.data ?? []);
    const { mask } = inner[i] as (typeof inner)[number];
    return {
      name,
      parameter,
      block: blocks.get(parameter) as number,
      start,
      mask,
      places: logitPlaces(parameter.shape, mask),
    };
  });
  const names = new Set(tensors.map(({ name }) => name));
  const learned = learnWeights.length > 0 ? selectParameters(learnWeights, model) : [];
  const others = learned.filter(({ name }) => !names.has(name)).map(({ tensor }) => `"${tensor}"`);
  if (others.length > 0) {
    const more = others.length > 3 ? ` and ${others.length - 3} more` : '';
    throw new CompileError(
      `weights to learn: expected some of the candidates, got ${others.slice(0, 3).join(', ')}${more}, below which images are encoded once`,
    );
  }
  return { tensors, learned: new Set(learned.map(({ name }) => name)) };
}

/** The masks of candidates by name, with the shapes of their logits. */
export const masksOfCandidates = ({ tensors }: Candidates): Map<string, readonly number[]> =>
  new Map(tensors.map(({ mask }) => [mask.name, mask.shape]));

/** 1 for each entry of a candidate that its logits leave open. */
export function openEntries(logits: Float32Array, { places }: Candidate): Uint8Array {
  // Written out, as all that is done for each of millions of weights in every task.
  const open = new Uint8Array(places.length);
  for (let i = 0; i < places.length; i++) open[i] = Number((logits[places[i] as number] as number) >= 0);
  return open;
}

/** Of each entry of a tensor the place of its logit in a mask that broadcasts to it. */
function logitPlaces(shape: readonly number[], { broadcast }: ParameterMask): Int32Array {
  const strides = broadcast.map((_, axis) => broadcast.slice(axis + 1).reduce((product, dim) => product * dim, 1));
  return Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => {
    let [rest, at] = [i, 0];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const dim = shape[axis] as number;
      if ((broadcast[axis] as number) > 1) at += (strides[axis] as number) * (rest % dim);
      rest = Math.floor(rest / dim);
    }
    return at;
  });
}
