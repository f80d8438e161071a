import { parseArgs } from 'node:util';
import { encodeOnnx, type Graph, lowerForCpu, matrixProducts, sizeOf } from '@whet/compiler';
import { createSession, tuneModel } from '@whet/runtime/node';
import {
  buildPatternGraphs,
  initialState,
  ortBackend,
  type PatternParts,
  type PatternWeight,
  patternParts,
  patternsOf,
  type RunConfig,
  runConfigSchema,
} from '@whet/trainer';
import { Tensor } from 'onnxruntime-node';
import { floorContenders } from './floor.js';
import { machine, type TimedRun, timeInTurns } from './harness.js';

const { values: options } = parseArgs({
  options: {
    normalizations: { type: 'string', multiple: true, default: ['population', 'layer', 'support'] },
    channels: { type: 'string', default: '64' },
    ways: { type: 'string', default: '5' },
    shots: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '30' },
    threads: { type: 'string' },
  },
});
const threads = options.threads ? { threads: Number(options.threads) } : {};
const sizes: Readonly<Record<string, number>> = {
  N: Number(options.ways) * Number(options.shots),
  W: Number(options.ways),
};

/** One inner step as a bundle runs it: the ONNX graph, any number of examples and classes; and the same without blocks of channels. */
async function stepContenders(
  name: string,
  graph: Graph,
  values: ReadonlyMap<string, Float32Array>,
): Promise<TimedRun[]> {
  const model = encodeOnnx(lowerForCpu(graph));
  const ways = sizes['W'] as number;
  const feeds: Record<string, Tensor> = {};
  for (const input of graph.inputs) {
    const shape = input.shape.map((dimension) => sizes[dimension] ?? Number(dimension));
    const valueAt = (i: number) => {
      if (input.name === 'labels') return Number(Math.floor(i / ways) % ways === i % ways);
      return input.name === 'rate' ? 0.01 : Math.sin(1.7 * i);
    };
    const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => valueAt(i));
    feeds[input.name] = new Tensor('float32', values.get(input.name) ?? data, shape);
  }
  // As a bundle opens them: whose threads went on spinning would take the cores from the next.
  const open = async (called: string, bytes: Uint8Array): Promise<TimedRun> => {
    const session = await createSession(bytes, threads);
    return { name: called, run: () => session.run(feeds) };
  };
  return [await open(name, await tuneModel(model)), await open(plain(name), model)];
}

const plain = (name: string) => `${name}, without blocks`;

/** Every second output channel of each layer closed, with its scale and shift; the head moves whole. */
function halfOfChannels(parts: PatternParts): PatternParts {
  const halve = (weight: PatternWeight): PatternWeight => {
    const [channels = 1] = weight.shape;
    const each = weight.start.length / channels;
    return { ...weight, mask: Uint8Array.from(weight.start, (_, i) => Number(Math.floor(i / each) % 2 === 0)) };
  };
  return { ...parts, weights: parts.weights.map(halve) };
}

async function measure(normalization: RunConfig['normalization']): Promise<string[]> {
  const model = { architecture: 'conv4', channels: Number(options.channels) };
  const config = runConfigSchema.parse({ model, rule: 'maml', normalization });
  const checkpoint = { config, state: initialState(config) };
  const parts = patternsOf(checkpoint).map((spec) => [spec.name, patternParts(checkpoint, spec)] as const);
  const full = parts.find(([name]) => name === 'full')?.[1] as PatternParts;
  const cases = [...parts, ['half of the channels', halfOfChannels(full)] as const];

  const contenders: TimedRun[] = [];
  const floors = new Map<string, { readonly name: string; readonly count: number }[]>();
  const products = new Map<string, TimedRun>();
  const flops = new Map<string, number>();
  for (const [name, each] of cases) {
    const { step, values } = buildPatternGraphs(each);
    contenders.push(...(await stepContenders(name, step, values)));
    const floor = await floorContenders(ortBackend(threads), step, sizes);
    for (const { contender } of floor) products.set(contender.name, contender);
    floors.set(
      name,
      floor.map(({ contender, count }) => ({ name: contender.name, count })),
    );
    const multiplyAdds = matrixProducts(step, sizes).reduce((sum, p) => sum + p.batch * p.m * p.k * p.n * p.count, 0);
    flops.set(name, 2 * multiplyAdds);
  }
  const times = await timeInTurns([...contenders, ...products.values()], Number(options.rounds));
  const time = (name: string) => times.get(name) ?? Number.NaN;
  return cases.map(([name]) => {
    const floor = (floors.get(name) ?? []).reduce((sum, each) => sum + each.count * time(each.name), 0);
    const cells = [
      normalization,
      name,
      ((flops.get(name) ?? 0) / 1e9).toFixed(2),
      floor.toFixed(2),
      time(name).toFixed(2),
      `${(time(name) / floor).toFixed(2)}x`,
      (time(name) / time('full')).toFixed(2),
      time(plain(name)).toFixed(2),
      (time(name) / time(plain(name))).toFixed(2),
    ];
    return `| ${cells.join(' | ')} |`;
  });
}

process.stdout.write(
  [
    `One inner step of Conv4-${options.channels}, 28 x 28, ${options.ways}-way ${options.shots}-shot, ms (median of ${options.rounds}, in turns). ${machine()}.`,
    'Floor: the same multiply-adds as bare matrix products.',
    '',
    '| normalization | moves | GFLOP | floor | step | over floor | of the dense step | without blocks | of that |',
    '|---|---|---|---|---|---|---|---|---|',
    '',
  ].join('\n'),
);
for (const normalization of options.normalizations) {
  process.stdout.write(`${(await measure(normalization as RunConfig['normalization'])).join('\n')}\n`);
}
