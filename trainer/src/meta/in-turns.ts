import type { Executable, Tensor } from '@whet/compiler';
import { oneHot, scheduled } from '@whet/runtime/format';
import { gradientName, HEAD_SCALE } from '../pattern/gradient-graph.js';
import { BETA_1, BETA_2, EPSILON } from '../pattern/optimizers.js';
import type { Candidates } from './candidates.js';
import { headScale, type Learned, maskName, rateName, startName, type TaskTensor, taskTensors } from './learned.js';
import { type AskedRows, bestScale, lossAt } from './query-scale.js';

// The first-order outer gradient without an unrolled graph: inner directions are constants of it, so that a step's graph and one of the query
// gradient, run in turns, give all of it.

/** Encoded images of a task, one row each. */
export interface EncodedRows {
  /** `[N, ...]` */
  readonly features: Tensor;
  /** The class of each, 0 to below `ways`. */
  readonly labels: Int32Array;
}

/** A task as its frozen part left it. */
export interface EncodedTask {
  readonly ways: number;
  readonly support: EncodedRows;
  /** 1 for the rows of the support set that classes are made of, 0 for views, which only ask. */
  readonly isPrototype: Float32Array;
  readonly query: EncodedRows;
}

/** What a task says of what is learned. */
export interface WalkedTask {
  /** Of the query images after the last step, at the scale of the head that makes it least. */
  readonly loss: number;
  /** That scale, over the learned one. */
  readonly times: number;
  readonly accuracy: number;
  /** By the names of what is learned. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

const vector = (data: Float32Array): Tensor => ({ dtype: 'float32', shape: [data.length], data });
const dataOf = (outputs: ReadonlyMap<string, Tensor>, name: string): ArrayLike<number> => {
  const tensor = outputs.get(name);
  if (!tensor) throw new Error(`the graph gave no output "${name}"`);
  return tensor.data;
};

/** Rows that classes are made of (1), those that are asked about, and how. */
interface Asking {
  readonly support: Float32Array;
  readonly queries: Float32Array;
  readonly smoothing?: number;
  readonly times?: number;
}

/** A task on its way through the inner loop. */
class Walk {
  readonly tensors: readonly TaskTensor[];
  /** phi, the sum of the dense directions so far, and the optimizer's two moments, by candidate. */
  readonly #phi: Float32Array[];
  readonly #walked: Float32Array[];
  readonly #m: Float32Array[];
  readonly #v: Float32Array[];
  #taken = 0;

  constructor(
    candidates: Candidates,
    private readonly learned: Learned,
    private readonly steps: number,
  ) {
    this.tensors = taskTensors(candidates, learned);
    const zeros = () => this.tensors.map(({ start }) => new Float32Array(start.length));
    this.#phi = this.tensors.map(({ start }) => start.slice());
    [this.#walked, this.#m, this.#v] = [zeros(), zeros(), zeros()];
  }

  /** What the graph is fed at phi, `times` the learned scale of the head. */
  feeds(
    { features, labels }: EncodedRows,
    ways: number,
    { support, queries, smoothing = 0, times = 1 }: Asking,
  ): Map<string, Tensor> {
    const feeds = new Map<string, Tensor>([
      ['features', features],
      ['labels', { dtype: 'float32', shape: [labels.length, ways], data: oneHot(labels, ways) }],
      ['support', vector(support)],
      ['queries', vector(queries)],
      [HEAD_SCALE, vector(Float32Array.of(times * headScale(this.learned)))],
      ['smoothing', { dtype: 'float32', shape: [], data: Float32Array.of(smoothing) }],
    ]);
    this.tensors.forEach(({ candidate: { name, parameter } }, i) => {
      feeds.set(name, { dtype: 'float32', shape: parameter.shape, data: this.#phi[i] as Float32Array });
    });
    return feeds;
  }

  /** phi <- phi - A 1[m >= 0] d, with d what Adam makes of the gradient, by a rate that ends small. */
  step(outputs: ReadonlyMap<string, Tensor>): void {
    this.#taken++;
    const share = scheduled('cosine', this.#taken, this.steps);
    const [unbiased, root] = [1 - BETA_1 ** this.#taken, 1 - BETA_2 ** this.#taken];
    this.tensors.forEach(({ candidate, open, rate }, t) => {
      const gradient = dataOf(outputs, gradientName(candidate.name));
      const [phi, walked] = [this.#phi[t] as Float32Array, this.#walked[t] as Float32Array];
      const [m, v] = [this.#m[t] as Float32Array, this.#v[t] as Float32Array];
      for (let i = 0; i < gradient.length; i++) {
        const g = gradient[i] as number;
        m[i] = BETA_1 * (m[i] as number) + (1 - BETA_1) * g;
        v[i] = BETA_2 * (v[i] as number) + (1 - BETA_2) * g * g;
        const length = Math.sqrt((v[i] as number) / root) + EPSILON;
        const direction = (share * (m[i] as number)) / unbiased / length;
        walked[i] = (walked[i] as number) + direction;
        if (open[i]) phi[i] = (phi[i] as number) - rate * direction;
      }
    });
  }

  /**
   * With q the query gradient at phi_K and D the sum of the directions, by tensor: of the logarithm of the rate -A <q, 1[m >= 0] D>; of a mask,
   * straight through, -A sum q D over what each logit covers, open or not; of a start q.
   */
  gradients(outputs: ReadonlyMap<string, Tensor>): Map<string, Float32Array> {
    const found = new Map<string, Float32Array>();
    const sums = new Map<string, Float64Array>();
    this.tensors.forEach(({ candidate, open, rate }, t) => {
      const query = dataOf(outputs, gradientName(candidate.name));
      const walked = this.#walked[t] as Float32Array;
      const name = maskName(candidate);
      const mask = sums.get(name) ?? new Float64Array(candidate.mask.shape.reduce((a, b) => a * b, 1));
      sums.set(name, mask);
      let ofRate = 0;
      for (let i = 0; i < query.length; i++) {
        const product = -rate * (query[i] as number) * (walked[i] as number);
        const place = candidate.places[i] as number;
        mask[place] = (mask[place] as number) + product;
        if (open[i]) ofRate += product;
      }
      found.set(rateName(candidate.name), Float32Array.of(ofRate));
      if (this.learned.has(startName(candidate.name))) found.set(startName(candidate.name), Float32Array.from(query));
    });
    for (const [name, sum] of sums) found.set(name, Float32Array.from(sum));
    return found;
  }
}

/** Whose class is left without it: the rows that an inner step asks about. */
function askable({ labels }: EncodedRows, isPrototype: Float32Array): Float32Array {
  const counts = new Map<number, number>();
  for (const [i, label] of labels.entries()) counts.set(label, (counts.get(label) ?? 0) + (isPrototype[i] as number));
  return Float32Array.from(labels, (label, i) => Number((counts.get(label) as number) > (isPrototype[i] as number)));
}

/** Support rows and query rows behind them. Views that asked in the steps are part of their class here. */
function together({ support, query }: EncodedTask): { rows: EncodedRows; own: Float32Array } {
  const [count, ...rest] = query.features.shape as [number, ...number[]];
  const first = support.labels.length;
  const data = new Float32Array(support.features.data.length + query.features.data.length);
  data.set(support.features.data as Float32Array);
  data.set(query.features.data as Float32Array, support.features.data.length);
  const features: Tensor = { dtype: 'float32', shape: [first + count, ...rest], data };
  const labels = Int32Array.from([...support.labels, ...query.labels]);
  return { rows: { features, labels }, own: Float32Array.from(labels, (_, i) => Number(i < first)) };
}

/** Share of the rows from `first` on whose own class has the largest logit, as every other class's is smaller. */
function accuracyOf({ logits, labels, ways, first }: AskedRows): number {
  let right = 0;
  for (let row = first; row < labels.length; row++) {
    const own = labels[row] as number;
    const isRight = Array.from({ length: ways }, (_, way) => way).every(
      (way) => way === own || (logits[row * ways + way] as number) < (logits[row * ways + own] as number),
    );
    right += Number(isRight);
  }
  return right / (labels.length - first);
}

/** What a task is adapted by. */
export interface InnerLoop {
  /** As `gradientGraph` makes it. */
  readonly graph: Executable;
  /** The same without gradients. */
  readonly answers: Executable;
  readonly candidates: Candidates;
  readonly learned: Learned;
  /** The share of each label that all classes have in the loss of inner steps. */
  readonly smoothing: number;
}

/**
 * Adapts to a task in `steps` steps and asks about its query images, for what their loss says of what is learned (`gradients`) or for their
 * answers alone. That loss is of plain labels, at the scale of the head that makes it least: at one scale for all tasks, or of smoothed labels, it would
 * rise where steps tell classes farther apart, however right their answers are. The learned scale has the gradient of the loss at itself. A task of one prototype a class without views has no loss to step by, and stays at its start.
 */
export async function walkTask(
  { graph, answers, candidates, learned, smoothing }: InnerLoop,
  task: EncodedTask,
  steps: number,
  wanted: 'gradients' | 'answers' = 'gradients',
): Promise<WalkedTask> {
  const walk = new Walk(candidates, learned, steps);
  const { ways, support, isPrototype } = task;
  const asked = askable(support, isPrototype);
  for (let step = 0; step < steps && asked.includes(1); step++) {
    walk.step(await graph.run(walk.feeds(support, ways, { support: isPrototype, queries: asked, smoothing })));
  }
  const { rows, own } = together(task);
  const queries = own.map((each) => 1 - each);
  const asking = { support: own, queries };
  const logits = dataOf(await answers.run(walk.feeds(rows, ways, asking)), 'logits');
  const answered = { logits, labels: rows.labels, ways, first: support.labels.length };
  const times = bestScale(answered);
  const told = { loss: lossAt(answered, times).loss, times, accuracy: accuracyOf(answered) };
  if (wanted === 'answers') return { ...told, gradients: new Map() };
  const gradients = walk.gradients(await graph.run(walk.feeds(rows, ways, { ...asking, times })));
  return {
    ...told,
    gradients: gradients.set(HEAD_SCALE, Float32Array.of(lossAt(answered, 1).slope / headScale(learned))),
  };
}
