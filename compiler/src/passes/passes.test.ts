import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { type Graph, GraphError, type Node, nodesOf, type Value } from '../graph.js';
import { int64s, makeTensor } from '../tensor.js';
import { verifyGraph } from '../verify-graph.js';
import { mergeCommonSubexpressions } from './common-subexpressions.js';
import { foldConstants, foldConstantsUpTo } from './fold-constants.js';
import { removeUnusedInputs } from './remove-unused-inputs.js';
import { runPasses } from './run-passes.js';

const opsOf = (graph: Graph) => nodesOf(graph.outputs.values()).map(({ op }) => op);
const graphOf = (inputs: readonly Value[], outputs: Record<string, Value>): Graph => ({
  name: 'g',
  inputs,
  outputs: new Map(Object.entries(outputs)),
});

describe('merging common subexpressions', () => {
  it('merges equal nodes and what follows from them, and keeps values', () => {
    const g = new GraphBuilder();
    const x = g.input('x', ['N', 2]);
    const halves = [0, 1].map(() => g.apply('Exp', [g.apply('Mul', [x, g.scalar(0.5)], {})], {}));
    const y = g.apply('Add', halves, {}, 'y');
    const graph = graphOf([x], { y, z: halves[1] as Value });
    const { graph: merged, changed } = runPasses(graph, { mergeCommonSubexpressions });
    expect([changed, opsOf(merged)]).toEqual([true, ['Mul', 'Exp', 'Add']]);
    const feeds = new Map([['x', makeTensor([1, 2], [1, -2])]]);
    expect(evaluate(merged, feeds)).toEqual(evaluate(graph, feeds));
    expect(mergeCommonSubexpressions(merged).changed).toBe(false);
  });

  it('merges constants by content and keeps the first name', () => {
    const g = new GraphBuilder();
    const x = g.input('x', [2]);
    const [a, b] = ['a', 'b'].map((name) => g.constant(makeTensor([2], [1, Number.NaN]), name));
    const graph = graphOf([x], { y: g.apply('Add', [g.apply('Add', [x, b], {}), a], {}) });
    const { graph: merged } = mergeCommonSubexpressions(graph);
    const names = nodesOf(merged.outputs.values()).flatMap(({ inputs }) =>
      inputs.flatMap((input) => (input?.constant ? [input.name] : [])),
    );
    expect(names).toEqual(['b', 'b']);
  });

  it.each<[string, (g: GraphBuilder, x: Value, z: Value) => [Value, Value]]>([
    ['two inputs', (g, x, z) => [g.apply('Neg', [x], {}), g.apply('Neg', [z], {})]],
    ['the order of operands', (g, x, z) => [g.apply('Sub', [x, z], {}), g.apply('Sub', [z, x], {})]],
    ['attributes', (g, x) => [g.apply('Softmax', [x], { axis: 0 }), g.apply('Softmax', [x], { axis: 1 })]],
    [
      'an absent input',
      (g, x) => [
        g.apply('ReduceSum', [x], { keepdims: 1 }),
        g.apply('ReduceSum', [x, g.constant(int64s([0]))], { keepdims: 1 }),
      ],
    ],
    [
      'operators that only steer differentiation',
      (g, x) => [g.apply('StopGradient', [x], {}), g.apply('StraightThrough', [x, x], {})],
    ],
    ['0 and -0', (g, x) => [g.apply('Div', [x, g.scalar(0)], {}), g.apply('Div', [x, g.scalar(-0)], {})]],
    [
      'shapes of one content',
      (g, x) => [
        g.apply('Add', [x, g.constant(makeTensor([2, 1], [1, 2]))], {}),
        g.apply('Add', [x, g.constant(makeTensor([1, 2], [1, 2]))], {}),
      ],
    ],
    [
      'dtypes of one content',
      (g, x) => [
        g.apply('Reshape', [x, g.constant(int64s([4]))], {}),
        g.apply('Mul', [g.apply('Reshape', [x, g.constant(int64s([4]))], {}), g.constant(makeTensor([1], [4]))], {}),
      ],
    ],
  ])('does not touch what differs in %s', (_, build) => {
    const g = new GraphBuilder();
    const [x, z] = [g.input('x', [2, 2]), g.input('z', [2, 2])];
    const [a, b] = build(g, x, z);
    const { graph: merged } = runPasses(graphOf([x, z], { a, b }), { mergeCommonSubexpressions });
    expect(merged.outputs.get('a')).not.toBe(merged.outputs.get('b'));
    expect(merged.inputs.map(({ name }) => name)).toEqual(['x', 'z']);
  });
});

describe('folding constants', () => {
  it('leaves results above the limit, and what reads an input', () => {
    const g = new GraphBuilder();
    const x = g.input('x', [1]);
    const wide = g.apply('Expand', [g.scalar(1), g.constant(int64s([1e5, 1e5]))], {}, 'wide');
    const y = g.apply('ReduceSum', [wide], { keepdims: 0 }, 'y');
    const graph = graphOf([x], { y, z: g.apply('Neg', [x], {}), w: g.apply('Neg', [g.scalar(2)], {}) });
    const { graph: folded, changed } = runPasses(graph, { foldConstants });
    expect([changed, opsOf(folded)]).toEqual([true, ['Expand', 'ReduceSum', 'Neg']]);
    expect(Array.from(folded.outputs.get('w')?.constant?.data ?? [])).toEqual([-2]);
  });

  it('folds up to the limit that is given', () => {
    const g = new GraphBuilder();
    const y = g.apply('Expand', [g.scalar(1), g.constant(int64s([3]))], {});
    expect(foldConstantsUpTo(3)(graphOf([], { y })).changed).toBe(true);
    expect(foldConstantsUpTo(2)(graphOf([], { y })).changed).toBe(false);
  });
});

describe('a part of a large constant', () => {
  it.each([
    [16, 'Constant'],
    [64, 'Gather'],
  ])('of %i rows of 256 is not stored beside the whole, but where it is small', (rows, expected) => {
    const g = new GraphBuilder();
    const whole = g.constant(makeTensor([100, 256], new Float32Array(25_600)), 'whole');
    const part = g.apply('Gather', [whole, g.constant(int64s(Array.from({ length: rows }, (_, i) => i)))], { axis: 0 });
    const { graph } = foldConstants(graphOf([], { part }));
    expect(graph.outputs.get('part')?.producer?.op ?? 'Constant').toBe(expected);
  });
});

describe('checking a graph', () => {
  const g = new GraphBuilder();
  const x = g.input('x', [2]);
  const value = (fields: Partial<Value>): Value => ({ name: 'v', dtype: 'float32', shape: [2], index: 0, ...fields });
  const made = (fields: Partial<Value>, node: Partial<Node> = {}): Value => {
    const output: { -readonly [P in keyof Value]: Value[P] } = value({ name: 'neg', ...fields });
    output.producer = { op: 'Neg', name: 'neg', inputs: [x], attributes: {}, output, ...node } as Node;
    return output;
  };

  it('accepts what the builder makes', () => {
    verifyGraph(graphOf([x], { y: g.apply('Neg', [x], {}), x, c: g.scalar(1) }));
  });

  it.each<[string, Graph, string]>([
    [
      'a shape that is not inferred',
      graphOf([x], { y: made({ shape: [3] }) }),
      'makes float32[2], its output says float32[3]',
    ],
    ['a dtype that is not inferred', graphOf([x], { y: made({ dtype: 'bool' }) }), 'its output says bool[2]'],
    ['an input that is not declared', graphOf([], { y: made({}) }), 'Neg "neg" reads "x", no input of it'],
    ['an output that is nothing', graphOf([x], { y: value({}) }), 'output "y" reads "v", no input of it'],
    [
      'operands that do not fit',
      graphOf([x], { y: made({}, { op: 'Add', inputs: [x] }) }),
      'Add "neg": input 1 is missing',
    ],
    ['two inputs of one name', graphOf([x, g.input('x', [2])], { y: x }), 'two inputs are named "x"'],
    [
      'a constant that is too short',
      graphOf([], { y: value({ constant: { dtype: 'float32', shape: [2], data: Float64Array.of(1) } }) }),
      'constant "v" takes 2 values, it holds 1',
    ],
    [
      'a constant of another shape',
      graphOf([], { y: value({ constant: makeTensor([1], [1]) }) }),
      'constant "v" says float32[2], it holds float32[1]',
    ],
    [
      'an input that is a constant',
      graphOf([value({ name: 'c', constant: makeTensor([2], [1, 2]) })], { y: x }),
      'input "c" has a value of its own',
    ],
    ['a node of another value', graphOf([x], { y: made({}, { output: x }) }), 'is not the producer of its output'],
  ])('refuses %s', (_, graph, message) => {
    expect(() => verifyGraph(graph)).toThrow(GraphError);
    expect(() => verifyGraph(graph)).toThrow(message);
  });

  it('names the pass that broke it and those that ran before', () => {
    const graph = graphOf([x], { y: g.apply('Neg', [x], {}) });
    const breakIt = () => ({ graph: graphOf([x], { y: made({ shape: [3] }) }), changed: true });
    const rename = () => ({ graph: graphOf([x], { z: x }), changed: true });
    const swapInput = () => ({ graph: graphOf([g.input('other', [2])], { y: g.scalar(1) }), changed: true });
    expect(() => runPasses(graph, { foldConstants, removeUnusedInputs, breakIt })).toThrow(
      'pass breakIt (after foldConstants, removeUnusedInputs) broke the graph: "g": Neg "neg" makes float32[2]',
    );
    expect(() => runPasses(graph, { rename })).toThrow(
      'pass rename (the first to run) broke the graph: outputs were y, are z',
    );
    expect(() => runPasses(graph, { swapInput })).toThrow('input "other" was not there before');
    const widen = () => ({ graph: graphOf([x], { y: g.scalar(1) }), changed: true });
    expect(() => runPasses(graph, { widen })).toThrow('output "y" was float32[2], is float32[]');
    expect(() => runPasses(graphOf([], { y: made({}) }), { foldConstants })).toThrow('reads "x", no input of it');
    expect(runPasses(graph, { foldConstants, removeUnusedInputs })).toMatchObject({ changed: false });
  });
});
