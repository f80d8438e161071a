import {
  type Executable,
  evaluate,
  type Graph,
  GraphBuilder,
  gradients,
  inline,
  referenceBackend,
  reshape,
  type Tensor,
  type Value,
} from '@whet/compiler';
import { cosineHead, crossEntropy, headFeatures, headLogits, leaveOneOutLogits } from '@whet/models';
import { generatorFor, ortBackend, readModel, type SourceModel } from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import {
  type CandidateGranularity,
  type Candidates,
  candidateGranularities,
  chooseCandidates,
} from '../../../trainer/src/meta/candidates.js';
import { type EncodedTask, walkTask } from '../../../trainer/src/meta/in-turns.js';
import {
  initialLearned,
  type Learned,
  learnedSpecs,
  maskName,
  rateName,
  startName,
} from '../../../trainer/src/meta/learned.js';
import { modelGraphs } from '../../../trainer/src/meta/model-graphs.js';
import { HEAD_SCALE } from '../../../trainer/src/pattern/gradient-graph.js';
import { type Build, basic, networkOf } from '../compile/block-networks.js';

// The outer gradient in turns against one graph in which all inner steps are unrolled, in float64 and float32.

const [WAYS, SHOTS, QUERIES, STEPS] = [3, 3, 2, 3];
const random = generatorFor(5, 'where-to-learn', 0);

const residual: Build = (n, x) => {
  const a = basic(n, n.apply('Relu', n.convolution(x, 'stem', 4)), 'a');
  return basic(n, basic(n, a, 'b', 6, 2), 'c');
};

/** Images of classes that differ, `[N, 4, 8, 8]`. */
function imagesOf(each: number): { images: Tensor; labels: Int32Array } {
  const labels = Int32Array.from({ length: WAYS * each }, (_, i) => Math.floor(i / each));
  const length = 4 * 8 * 8;
  const data = new Float32Array(labels.length * length);
  for (let i = 0; i < data.length; i++) {
    const label = labels[Math.floor(i / length)] as number;
    data[i] = random.normal() + Math.sin((label + 1) * (i % length));
  }
  return { images: { dtype: 'float32', shape: [labels.length, 4, 8, 8], data }, labels };
}

/** `40 k / (k + 5/3)`, as compiled bundles scale cosines to mean directions of k examples. */
const shotScale = (g: GraphBuilder, k: number): Value =>
  g.constant({ dtype: 'float32', shape: [1], data: Float64Array.of((40 * k) / (k + 5 / 3)) });

/** The share of each label that all classes have in inner steps. */
const SMOOTHING = 0.1;
const TIMES = 'times';

/**
 * All inner steps in one graph, and the gradients of what is learned: of the head's scale at itself, of all else by the loss at `times` that.
 * Inputs are what is learned, and `times []`; images are constants.
 */
function unrolled(
  model: SourceModel,
  { tensors, learned }: Candidates,
  names: readonly { name: string; shape: readonly number[] }[],
  support: ReturnType<typeof imagesOf>,
  query: ReturnType<typeof imagesOf>,
): Graph {
  const g = new GraphBuilder();
  const inputs = new Map(names.map(({ name, shape }) => [name, g.input(name, shape)]));
  const input = (name: string) => inputs.get(name) as Value;
  const features = model.featureGraph(tensors.map(({ parameter }) => parameter));
  const oneHot = ({ labels }: typeof support) => {
    const data = new Float64Array(labels.length * WAYS);
    labels.forEach((label, i) => {
      data[i * WAYS + label] = 1;
    });
    return g.constant({ dtype: 'float32', shape: [labels.length, WAYS], data });
  };
  const [supportLabels, queryLabels] = [oneHot(support), oneHot(query)];
  const ones = g.constant({ dtype: 'float32', shape: [WAYS * SHOTS], data: new Float64Array(WAYS * SHOTS).fill(1) });
  let phi = tensors.map(({ name, parameter, start }) =>
    learned.has(name) ? input(startName(name)) : g.constant({ dtype: 'float32', shape: parameter.shape, data: start }),
  );
  const directions = ({ images }: typeof support) => {
    const bound = new Map(
      features.inputs.map((each) => {
        const at = tensors.findIndex(({ name }) => name === each.name);
        return [each, at >= 0 ? (phi[at] as Value) : g.constant(images)];
      }),
    );
    return headFeatures(g, 'cosine', inline(g, features, bound).get('features') as Value);
  };
  const multiply = (a: Value, b: Value) => g.apply('Mul', [a, b], {});
  const moments: [Value, Value][] = [];
  for (let step = 0; step < STEPS; step++) {
    const logits = leaveOneOutLogits(
      g,
      'cosine',
      directions(support),
      { labels: supportLabels, support: ones },
      shotScale(g, SHOTS),
    );
    const stepLoss = crossEntropy(g, multiply(logits, input(HEAD_SCALE)), supportLabels, { smoothing: SMOOTHING });
    const found = gradients(g, stepLoss, phi);
    phi = tensors.map((candidate, i) => {
      const gradient = found[i] as Value;
      const logits = reshape(g, input(maskName(candidate)), candidate.mask.broadcast);
      const open = g.apply('Cast', [g.apply('GreaterOrEqual', [logits, g.scalar(0)], {})], { to: 'float32' });
      const scaled = (value: Value, by: number) => multiply(value, g.scalar(by));
      const [m, v] = moments[i] ?? [scaled(gradient, 0), scaled(gradient, 0)];
      const first = g.apply('Add', [scaled(m, 0.9), scaled(gradient, 0.1)], {});
      const second = g.apply('Add', [scaled(v, 0.999), scaled(multiply(gradient, gradient), 0.001)], {});
      moments[i] = [first, second];
      const root = g.apply('Sqrt', [scaled(second, 1 / (1 - 0.999 ** (step + 1)))], {});
      const length = g.apply('Add', [root, g.scalar(1e-8)], {});
      const share = (1 + Math.cos((Math.PI * step) / STEPS)) / 2;
      const unbiased = scaled(first, share / (1 - 0.9 ** (step + 1)));
      const direction = g.apply('StopGradient', [g.apply('Div', [unbiased, length], {})], {});
      const rate = g.apply('Exp', [reshape(g, input(rateName(candidate.name)), [])], {});
      const moved = multiply(multiply(g.apply('StraightThrough', [open, logits], {}), rate), direction);
      return g.apply('Sub', [phi[i] as Value, moved], {});
    });
  }
  const head = cosineHead(g, directions(support), supportLabels, multiply(shotScale(g, SHOTS), input(HEAD_SCALE)));
  const logits = headLogits(g, directions(query), head);
  const times = g.input(TIMES, []);
  const loss = crossEntropy(g, multiply(logits, times), queryLabels);
  const others = [...inputs].filter(([name]) => name !== HEAD_SCALE);
  const wanted = gradients(
    g,
    loss,
    others.map(([, value]) => value),
  );
  const [ofScale] = gradients(g, crossEntropy(g, logits, queryLabels), [input(HEAD_SCALE)]);
  const outputs = new Map(others.map(([name], i) => [name, wanted[i] as Value]));
  outputs.set(HEAD_SCALE, ofScale as Value).set('loss', loss);
  return { name: 'unrolled', inputs: [...inputs.values(), times], outputs };
}

const learnedFeeds = (learned: Learned, specs: readonly { name: string; shape: readonly number[] }[]) =>
  new Map<string, Tensor>(
    specs.map(({ name, shape }) => [name, { dtype: 'float32', shape, data: learned.get(name)?.value as Float32Array }]),
  );

/** Largest difference of two tensors, over the largest entry. */
function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const scale = Array.from(b).reduce((largest, each) => Math.max(largest, Math.abs(each)), 1e-6);
  return Array.from(b).reduce((most, each, i) => Math.max(most, Math.abs(each - (a[i] as number))), 0) / scale;
}

describe('the outer gradient in turns', () => {
  it.each(candidateGranularities)(
    'is that of the unrolled first-order graph, with masks per %s',
    async (granularity: CandidateGranularity) => {
      const model = await readModel(networkOf(residual), {});
      const candidates = chooseCandidates(model, { trainable: ['blocks:2'], granularity, learnWeights: ['blocks:1'] });
      const learned = initialLearned(candidates, { innerRate: 1e-3, seed: 3 });
      // Of a scale that is about right the gradient is what is left when parts of many times its size cancel.
      learned.get(HEAD_SCALE)?.value.fill(0.4);
      const specs = learnedSpecs(candidates);
      // Half of the masks of whole tensors and blocks are closed here, too.
      for (const [i, { name, kind }] of specs.entries()) {
        if (kind === 'mask' && i % 2 === 0) learned.get(name)?.value.fill(-0.1, 0, 1);
      }
      const [support, query] = [imagesOf(SHOTS), imagesOf(QUERIES)];
      const { prefix, gradient, features } = await modelGraphs(model, candidates);
      const encoded = await encode(prefix as Uint8Array, [support.images, query.images], features);
      const task: EncodedTask = {
        ways: WAYS,
        support: { features: encoded[0] as Tensor, labels: support.labels },
        isPrototype: new Float32Array(WAYS * SHOTS).fill(1),
        query: { features: encoded[1] as Tensor, labels: query.labels },
      };
      for (const backend of [referenceBackend, ortBackend({ threads: 1 })]) {
        const graph: Executable = await backend.compile(gradient);
        const loop = { graph, answers: graph, candidates, learned, smoothing: SMOOTHING };
        const { loss, times, gradients: found } = await walkTask(loop, task, STEPS);
        await graph.release();
        const at: Tensor = { dtype: 'float32', shape: [], data: Float64Array.of(times) };
        const feeds = learnedFeeds(learned, specs).set(TIMES, at);
        const expected = evaluate(unrolled(model, candidates, specs, support, query), feeds);
        expect(apart([loss], expected.get('loss')?.data ?? [])).toBeLessThan(1e-4);
        expect([...found.keys()].sort()).toEqual(specs.map(({ name }) => name).sort());
        for (const kind of ['scale', 'rate', 'mask', 'start']) {
          const names = specs.filter((spec) => spec.kind === kind).map(({ name }) => name);
          const all = (of: (name: string) => ArrayLike<number> | undefined) =>
            names.flatMap((name) => Array.from(of(name) ?? []));
          const difference = apart(
            all((name) => found.get(name)),
            all((name) => expected.get(name)?.data),
          );
          expect(difference, `${kind} on ${backend.name}`).toBeLessThan(backend === referenceBackend ? 1e-5 : 1e-4);
        }
      }
    },
  );
});

async function encode(prefix: Uint8Array, batches: readonly Tensor[], shape: readonly number[]): Promise<Tensor[]> {
  const ort = await import('onnxruntime-node');
  const session = await ort.InferenceSession.create(prefix);
  const rows: Tensor[] = [];
  for (const { shape: dims, data } of batches) {
    const { features } = await session.run({ images: new ort.Tensor('float32', data as Float32Array, [...dims]) });
    rows.push({ dtype: 'float32', shape: [dims[0] as number, ...shape], data: features?.data as Float32Array });
  }
  await session.release();
  return rows;
}
