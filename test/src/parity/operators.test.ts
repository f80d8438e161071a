import type { Graph, OperatorName, Tensors, Value } from '@whet/compiler';
import { evaluate, GraphBuilder, GraphError, gradients, int64s, makeTensor, operators } from '@whet/compiler';
import { openTfjsBackend } from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { runOnOrt } from './ort.js';
import { decodeReference, type EncodedTensor, readReference, referenceFiles, relativeError } from './reference.js';

interface OperatorCase {
  readonly name: string;
  readonly opType: string;
  readonly attributes: Record<string, unknown>;
  readonly constantInputs: Record<string, unknown>;
  readonly inputs: readonly EncodedTensor[];
  readonly output: EncodedTensor;
  readonly cotangent: EncodedTensor;
  readonly inputGradients: readonly EncodedTensor[];
  readonly directions: readonly EncodedTensor[];
  readonly secondOrder: { readonly inputs: readonly EncodedTensor[]; readonly cotangent: EncodedTensor };
}

const defaults: Record<string, Record<string, unknown>> = {
  MaxPool: { pads: [0, 0, 0, 0] },
  AveragePool: { pads: [0, 0, 0, 0] },
  ConvTranspose: { dilations: [1, 1], group: 1, output_padding: [0, 0] },
};

/** Constant operands stand where ONNX has them. */
function operands(g: GraphBuilder, test: OperatorCase, inputs: readonly Value[]): (Value | undefined)[] {
  const constants = Object.entries(test.constantInputs).map(([name, value]) => {
    if (name === 'condition') {
      const rows = value as boolean[][];
      const data = Float64Array.from(rows.flat(), Number);
      return g.constant({ dtype: 'bool', shape: [rows.length, rows[0]?.length ?? 0], data });
    }
    const float = ['min', 'max', 'exponent', 'mean', 'var'].includes(name);
    if (float && typeof value === 'number') return g.scalar(value);
    if (float) return g.constant(makeTensor([(value as number[]).length], value as number[]));
    return g.constant(int64s(value as number[]));
  });
  return test.opType === 'Where' ? [...constants, ...inputs] : [...inputs, ...constants];
}

/** Value, gradients, and gradients of `sum_i <gradient_i, direction_i>`, as one graph. */
function caseGraph(test: OperatorCase) {
  const g = new GraphBuilder();
  const inputs = test.inputs.map((input, i) => g.input(`x${i}`, input.shape));
  const cotangent = g.input('c', test.cotangent.shape);
  const directions = test.directions.map((direction, i) => g.input(`d${i}`, direction.shape));
  const attributes = { ...defaults[test.opType], ...test.attributes } as never;
  const output = g.apply(test.opType as OperatorName, operands(g, test, inputs), attributes);
  const first = gradients(g, output, inputs, cotangent);
  const dots = first.map((gradient, i) => {
    const product = g.apply('Mul', [gradient, directions[i]], {});
    return g.apply('ReduceSum', [product], { keepdims: 0 });
  });
  const sum = dots.reduce((a, b) => g.apply('Add', [a, b], {}));
  const second = gradients(g, sum, [...inputs, cotangent]);
  const outputs = new Map<string, Value>([['y', output]]);
  first.forEach((value, i) => {
    if (value) outputs.set(`grad/x${i}`, value);
  });
  second.forEach((value, i) => {
    if (value) outputs.set(`second/${i}`, value);
  });
  const graph = { name: test.name, inputs: [...inputs, cotangent, ...directions], outputs };
  const feeds = new Map([
    ...test.inputs.map((input, i) => [`x${i}`, decodeReference(input)] as const),
    ...test.directions.map((direction, i) => [`d${i}`, decodeReference(direction)] as const),
    ['c', decodeReference(test.cotangent)] as const,
  ]);
  const expected = new Map<string, Float64Array>([['y', decodeReference(test.output).data]]);
  test.inputGradients.forEach((gradient, i) => {
    expected.set(`grad/x${i}`, decodeReference(gradient).data);
  });
  [...test.secondOrder.inputs, test.secondOrder.cotangent].forEach((gradient, i) => {
    expected.set(`second/${i}`, decodeReference(gradient).data);
  });
  // |x| has no curvature where it has a slope. The file holds the direction there, to the last bit: a slip of the
  // program that wrote it. Central differences in the compiler's tests find zero as well.
  if (test.opType === 'Abs') expected.get('second/0')?.fill(0);
  return { graph, feeds, expected };
}

const tfjs = await openTfjsBackend('tfjs-cpu');
const interpreted = new Set<string>();

/** The outputs on TensorFlow.js; undefined where the graph has an operator that training does not use. */
async function runOnTfjs(graph: Graph, feeds: Tensors) {
  try {
    const executable = await tfjs.compile(graph);
    const outputs = await executable.run(feeds);
    await executable.release();
    return outputs;
  } catch (error) {
    if (error instanceof GraphError && error.message.includes('the tfjs backend has no rule for')) return undefined;
    throw error;
  }
}

const cases = referenceFiles('operators').flatMap((file) => readReference<{ cases: OperatorCase[] }>(file).cases);
describe('operators against PyTorch in float64', () => {
  it('has every operator of the reference in the table', () => {
    expect(cases.filter((test) => !(test.opType in operators)).map((test) => test.opType)).toEqual([]);
    expect(cases.length).toBeGreaterThanOrEqual(50);
  });

  it.each(cases)('$name', async (test) => {
    const { graph, feeds, expected } = caseGraph(test);
    const exact = evaluate(graph, feeds);
    const single = await runOnOrt(graph, feeds);
    const onTfjs = await runOnTfjs(graph, feeds);
    if (onTfjs) interpreted.add(test.opType);
    for (const [name, want] of expected) {
      const zero = new Float64Array(want.length);
      expect(relativeError(exact.get(name)?.data ?? zero, want, 1), `${name} in float64`).toBeLessThan(1e-9);
      const bound = name.startsWith('second/') ? 1e-3 : 1e-4;
      expect(relativeError(single.get(name) ?? zero, want, 1), `${name} on onnxruntime`).toBeLessThan(bound);
      if (onTfjs) {
        expect(relativeError(onTfjs.get(name)?.data ?? zero, want, 1), `${name} on tfjs`).toBeLessThan(bound);
      }
    }
  });

  it('has run the operators of training on TensorFlow.js too', () => {
    const training = [
      'Conv',
      'ConvTranspose',
      'MaxPool',
      'MatMul',
      'Slice',
      'Pad',
      'ReduceMean',
      'LogSoftmax',
      'Where',
    ];
    expect([...interpreted]).toEqual(expect.arrayContaining(training));
  });
});
