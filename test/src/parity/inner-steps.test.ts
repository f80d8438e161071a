import { encodeOnnx, evaluate, type Graph, lowerForCpu, makeTensor, type Tensor } from '@whet/compiler';
import { nextName, type OptimizerName, optimizerStates, stateName } from '@whet/runtime/format';
import { createSession } from '@whet/runtime/web';
import * as ort from 'onnxruntime-node';
import { afterAll, describe, expect, it } from 'vitest';
import { headObjective, prototypeObjective } from '../../../runtime/src/objectives.js';
import type { Pattern } from '../../../runtime/src/pattern.js';
import { runSession } from '../../../runtime/src/run-session.js';
import { StepGraph } from '../../../runtime/src/step-graph.js';
import { takeSteps } from '../../../runtime/src/take-steps.js';
import { findBackends } from './gpu.js';
import * as task from './inner-step-cases.js';
import { ridgeCase } from './ridge-case.js';

const { starts, expectCase, expectTensors } = task;
const cases = task.cases.map((one) => [one.title, one] as const);
const statesOf = (value: string, optimizer: OptimizerName) =>
  optimizerStates[optimizer].map((state) => stateName(value, state));

/** Numbers of heads in closed form, to so many digits. */
function expectHeads(
  came: Readonly<Record<string, ArrayLike<number>>>,
  wanted: Record<string, number[]>,
  digits: number,
): void {
  for (const [name, numbers] of Object.entries(wanted)) {
    expect(came[name]?.length).toBe(numbers.length);
    for (const [at, value] of numbers.entries()) expect(came[name]?.[at]).toBeCloseTo(value, digits);
  }
}

describe('inner steps are those of PyTorch, in float64', () => {
  const rows = { features: task.images, labels: task.labelTensor(), support: task.support, queries: task.queries };
  const run = (graph: Graph, values: ReadonlyMap<string, Tensor>) => {
    const fed = [...Object.entries(rows), ...values].filter(([name]) => graph.inputs.some((one) => one.name === name));
    return evaluate(graph, new Map(fed));
  };
  const numbersOf = (tensors: ReadonlyMap<string, Tensor>) =>
    Object.fromEntries(Array.from(tensors, ([name, { data }]) => [name, Array.from(data, Number)]));

  it.each(starts)('$head head: its start, and examples left out', ({ graphs, values, wanted }) => {
    const came = [run(graphs.start, values), run(graphs.leftOut as Graph, values)];
    expectTensors(wanted, Object.assign({}, ...came.map(numbersOf)), 1e-9);
  });

  it('heads in closed form', () => {
    const { graph, feeds, wanted } = ridgeCase();
    expectHeads(numbersOf(evaluate(graph, feeds)), wanted, 5);
  });

  it.each(cases)('%s', (_, one) => {
    const { graphs, optimizer, start, rate } = one;
    const states = [...start].flatMap(([name, { shape, data }]) =>
      statesOf(name, optimizer).map((state) => [state, makeTensor(shape, new Float64Array(data.length))] as const),
    );
    let values = new Map([...start, ...states]);
    const losses: number[] = [];
    for (let step = 1; step <= one.losses.length; step++) {
      const scalars = Object.entries({ rate, count: step });
      const fed = scalars.map(([name, value]) => [name, makeTensor([], [value])] as const);
      const outputs = run(graphs.step, new Map([...values, ...fed]));
      losses.push(Number(outputs.get('loss')?.data[0]));
      // The last loss is told by one step more, which is not taken.
      if (step === one.losses.length) break;
      values = new Map([...values.keys()].map((name) => [name, outputs.get(nextName(name)) as Tensor]));
    }
    const head = values.has('head.weight') ? new Map<string, Tensor>() : run(graphs.start, values);
    const came = [values, run(graphs.predict, new Map([...values, ...head]))];
    expectCase(one, Object.assign({ losses }, ...came.map(numbersOf)), 1e-9);
  });
});

/** Opens a graph as a bundle has it. */
type Open = (model: Uint8Array) => Promise<ort.InferenceSession>;

const native = (executionProviders: string[]) => (model: Uint8Array) =>
  ort.InferenceSession.create(model, { executionProviders, intraOpNumThreads: 1, logSeverityLevel: 3 });
const [gpu] = await findBackends(['ort-webgpu']);
const missing = gpu && 'missing' in gpu ? ` (skipped: ${gpu.missing})` : '';
const runtimes: { name: string; open: Open; loops: boolean; skipped?: boolean }[] = [
  { name: 'onnxruntime on the CPU', open: native(['cpu']), loops: false },
  { name: 'onnxruntime on the CPU, in one run', open: native(['cpu']), loops: true },
  {
    name: 'onnxruntime on WebAssembly, in one run',
    open: (model) => createSession(model) as Promise<ort.InferenceSession>,
    loops: true,
  },
  { name: `onnxruntime on WebGPU${missing}`, open: native(['webgpu', 'cpu']), loops: false, skipped: missing !== '' },
];

for (const { name, open, loops, skipped = false } of runtimes) {
  describe.skipIf(skipped)(`the runtime's steps are those of PyTorch, by ${name}`, () => {
    const tensorOf = (tensor: Tensor) => new ort.Tensor('float32', task.float32s(tensor), tensor.shape);
    const tensorsOf = (tensors: ReadonlyMap<string, Tensor>) =>
      Object.fromEntries(Array.from(tensors, ([name, tensor]) => [name, tensorOf(tensor)]));
    const numbersOf = (tensors: Readonly<Record<string, ort.Tensor>>) =>
      Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data as Float32Array]));
    const rows = {
      ...{ encoded: { features: tensorOf(task.images) }, labels: task.labels, ways: task.ways },
      ...{ examples: new Int32Array(task.labels.length), support: task.float32s(task.support) },
    };
    const given = { ...rows.encoded, labels: tensorOf(task.labelTensor()), support: tensorOf(task.support) };

    const opened: { release(): Promise<void> }[] = [];
    afterAll(() => Promise.all(opened.map((session) => session.release())));
    const source = { location: 'test', read: () => Promise.reject(new Error('no files')), createSession: open, loops };
    const stepOf = (graph: Graph, values: readonly string[], states: readonly string[]): StepGraph => {
      const [inputs, outputs] = [graph.inputs.map((one) => one.name), [...graph.outputs.keys()]];
      const options = { names: [inputs, inputs, outputs], small: true, values, states } as const;
      const step = new StepGraph(source, 'step.onnx', encodeOnnx(lowerForCpu(graph)), new Map(), options);
      opened.push(step);
      return step;
    };
    const sessionOf = async (graph: Graph) => {
      const session = await open(encodeOnnx(lowerForCpu(graph)));
      opened.push(session);
      return session;
    };
    const ofHeads = new Map<string, Promise<ort.InferenceSession>>();
    /** Of graphs that the cases of a head share. */
    const ofHead = (head: string, name: 'start' | 'predict' | 'leftOut') => {
      const key = `${head} ${name}`;
      const { graphs } = starts.find((one) => one.head === head) as (typeof starts)[number];
      const session = ofHeads.get(key) ?? sessionOf(graphs[name] as Graph);
      ofHeads.set(key, session);
      return session;
    };

    it.each(starts)('$head head: its start, and examples left out', async ({ head, values, wanted }) => {
      const feeds = { ...given, ...tensorsOf(values) };
      const came = [await runSession(await ofHead(head, 'start'), feeds)];
      came.push(await runSession(await ofHead(head, 'leftOut'), feeds));
      expectTensors(wanted, Object.assign({}, ...came.map(numbersOf)), 1e-4);
    });

    it('heads in closed form', async () => {
      const { graph, feeds, wanted } = ridgeCase();
      const came = numbersOf(await runSession(await sessionOf(graph), tensorsOf(feeds)));
      expectHeads(came, wanted, 4);
    });

    it.each(cases)('%s', async (_, one) => {
      const { head, optimizer, objective, smoothing, rate, graphs } = one;
      const values = tensorsOf(one.start);
      const predict = await ofHead(head, 'predict');
      const states = new Map(Object.keys(values).map((name) => [name, statesOf(name, optimizer)]));
      const pattern = {
        manifest: { optimizer, objective, smoothing },
        step: stepOf(graphs.step, [...states.keys()], [...states.values()].flat()),
        predict,
        leftOut: await ofHead(head, 'leftOut'),
        states,
      } as unknown as Pattern;
      const objectives = {
        head: () => headObjective(pattern, rows),
        prototypes: () => prototypeObjective(pattern, rows, task.float32s(task.queries)),
      };
      const steps = one.losses.length - 1;
      const stepped = await takeSteps(pattern, objectives[objective](), values, { steps, rate });
      expect(stepped.halved).toBe(0);
      const feeds = { ...given, ...stepped.values };
      const made = objective === 'head' ? {} : await runSession(await ofHead(head, 'start'), feeds);
      const came = { ...stepped.values, ...(await runSession(predict, { ...feeds, ...made })) };
      expectCase(one, { losses: [...stepped.losses, stepped.loss as number], ...numbersOf(came as never) }, 1e-4);
    });
  });
}
