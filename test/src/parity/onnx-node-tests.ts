import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DType, Graph, Tensor, Value } from '@whet/compiler';
import { evaluate, GraphBuilder, GraphError, operators } from '@whet/compiler';
import { byTable, readAttribute } from './onnx-attributes.js';
import { dtypeOf, type ParsedModel, readModelFile, readTensors, toTensor, Unsupported } from './onnx-models.js';
import { runOnOrt } from './ort.js';

/**
 * The ONNX project's own node tests: models of (mostly) one node, with inputs and expected outputs. Found where
 * WHET_ONNX_NODE_TESTS says, or where Debian's package libonnx-testdata puts them.
 */
export function findNodeTests(): string | undefined {
  const named = process.env['WHET_ONNX_NODE_TESTS'];
  if (named && !existsSync(named)) throw new Error(`WHET_ONNX_NODE_TESTS names "${named}", which does not exist`);
  const folder = named ?? '/usr/share/libonnx-testdata/data/node';
  return existsSync(folder) ? folder : undefined;
}

export interface NodeTestResult {
  readonly name: string;
  readonly operator: string;
  readonly verdict: 'passed' | 'unsupported' | 'failed';
  readonly reason?: string;
  /** Whether the graph, encoded again, gives the expected outputs on onnxruntime; absent where it refuses to run. */
  readonly onRuntime?: boolean;
}

/** The model as a graph of the table's operators, with all inputs as constants. */
function build(model: ParsedModel, inputs: readonly (() => Tensor)[]): Graph {
  const g = new GraphBuilder();
  const values = new Map<string, Value>();
  for (const initializer of model.graph.initializer ?? []) {
    values.set(initializer.name ?? '', g.constant(toTensor(initializer), initializer.name));
  }
  (model.graph.input ?? []).forEach(({ name, type }, i) => {
    if (!type?.tensorType) throw new Unsupported(`input ${name} is not a tensor`);
    dtypeOf(type.tensorType.elemType);
    const tensor = inputs[i]?.();
    if (tensor) values.set(name, g.constant(tensor, `input/${name}`));
  });
  const opset = Number(model.opsetImport.find(({ domain }) => !domain)?.version);
  for (const node of model.graph.node) {
    const [first, ...further] = node.output;
    if (node.opType === 'Constant') {
      const value = readAttribute(node.attribute?.[0] ?? { name: 'value', type: 0 });
      if (typeof value !== 'object' || !value || !('dtype' in value))
        throw new Unsupported('Constant without a tensor');
      values.set(first ?? '', g.constant(value as Tensor));
      continue;
    }
    const operands = (node.input ?? []).map((name) => {
      const value = values.get(name);
      if (name !== '' && !value) throw new Unsupported(`a further output, ${name}, is read`);
      return value;
    });
    const { op, attributes, inputs } = byTable(g, node, operands, opset);
    if (further.some((name) => name !== '') && !firstOutputSuffices.has(op)) throw new Unsupported('several outputs');
    values.set(first ?? '', g.apply(op, inputs, attributes));
  }
  const outputs = model.graph.output.flatMap(({ name }) => {
    const value = values.get(name);
    return value ? [[name, value] as const] : [];
  });
  return { name: 'node test', inputs: [], outputs: new Map(outputs) };
}

/** Operators whose further outputs (moments, masks, positions) a graph does not have; the first one is compared. */
const firstOutputSuffices: ReadonlySet<string> = new Set(['Dropout', 'LayerNormalization', 'MaxPool']);

/** Expected values were computed in the dtype itself, ours in float64. */
const tolerances: Readonly<Record<DType, number>> = {
  float16: 2e-3,
  float32: 1e-5,
  float64: 1e-7,
  int64: 0,
  int32: 0,
  int8: 0,
  uint8: 0,
  bool: 0,
};

/** Cases whose expected values were written with four digits. */
const roughlyWritten: ReadonlySet<string> = new Set(['test_averagepool_2d_ceil_last_window_starts_on_pad']);

function difference(actual: ArrayLike<number>, expected: Tensor, rough: boolean): string | undefined {
  const bound = rough ? 1e-4 : tolerances[expected.dtype];
  for (let i = 0; i < expected.data.length; i++) {
    const [got, want] = [actual[i] as number, expected.data[i] as number];
    const same = Object.is(got, want) || Math.abs(got - want) <= bound * Math.max(1, Math.abs(want));
    if (!same) return `element ${i} is ${got}, expected ${want}`;
  }
  return undefined;
}

async function check(
  folder: string,
  model: ParsedModel,
  rough: boolean,
): Promise<Pick<NodeTestResult, 'reason' | 'onRuntime'>> {
  const graph = build(model, readTensors(join(folder, 'test_data_set_0'), 'input'));
  const expected = readTensors(join(folder, 'test_data_set_0'), 'output');
  const results = evaluate(graph, new Map());
  const wanted = model.graph.output.flatMap(({ name }, i) => {
    const result = results.get(name);
    return result ? [{ name, result, want: (expected[i] as () => Tensor)() }] : [];
  });
  for (const { name, result, want } of wanted) {
    const inferred = graph.outputs.get(name) as Value;
    if (String(inferred.shape) !== String(want.shape)) return { reason: `inferred shape [${inferred.shape}]` };
    if (String(result.shape) !== String(want.shape)) return { reason: `shape [${result.shape}]` };
    if (inferred.dtype !== want.dtype || result.dtype !== want.dtype) return { reason: `dtype ${result.dtype}` };
    const reason = difference(result.data, want, rough);
    if (reason) return { reason };
  }
  if (wanted.some(({ want }) => want.dtype === 'float16')) return {};
  try {
    const run = await runOnOrt(graph, new Map());
    return { onRuntime: wanted.every(({ name, want }) => !difference(run.get(name) ?? [], want, rough)) };
  } catch {
    // What this runtime has no kernel for says nothing about the encoding.
    return {};
  }
}

async function runNodeTest(root: string, name: string): Promise<NodeTestResult> {
  const folder = join(root, name);
  const model = readModelFile(join(folder, 'model.onnx'));
  const ops = [...new Set(model.graph.node.map((node) => node.opType))].filter((op) => op !== 'Constant');
  const operator = ops.length === 1 ? (ops[0] as string) : 'several';
  try {
    const found = await check(folder, model, roughlyWritten.has(name));
    return { name, operator, verdict: found.reason ? 'failed' : 'passed', ...found };
  } catch (error) {
    if (!(error instanceof Unsupported || error instanceof GraphError)) {
      return { name, operator, verdict: 'failed', reason: String(error) };
    }
    const reason = error instanceof GraphError && error.cause instanceof Error ? error.cause.message : error.message;
    return { name, operator, verdict: 'unsupported', reason };
  }
}

export async function runNodeTests(root: string): Promise<NodeTestResult[]> {
  const results: NodeTestResult[] = [];
  for (const name of readdirSync(root).sort()) {
    if (existsSync(join(root, name, 'model.onnx'))) results.push(await runNodeTest(root, name));
  }
  return results;
}

/** `N passed, N unsupported, N failed` of the results, and how many agree on onnxruntime too. */
export function summarize(results: readonly NodeTestResult[]): string {
  const count = (verdict: NodeTestResult['verdict']) => results.filter((result) => result.verdict === verdict).length;
  return `${count('passed')} passed, ${count('unsupported')} unsupported, ${count('failed')} failed`;
}

async function main(): Promise<void> {
  const root = findNodeTests();
  if (!root)
    throw new Error('no node tests: install libonnx-testdata, or set WHET_ONNX_NODE_TESTS to its folder data/node');
  const results = await runNodeTests(root);
  const names = [...new Set(results.map((result) => result.operator))].sort();
  for (const name of names.filter((op) => op in operators || op === 'several')) {
    console.log(`${name}: ${summarize(results.filter((result) => result.operator === name))}`);
  }
  for (const { name, operator, verdict, reason, onRuntime } of results) {
    if (verdict === 'failed') console.log(`FAILED ${name}: ${reason}`);
    if (verdict === 'unsupported' && operator in operators) console.log(`unsupported ${name}: ${reason}`);
    if (onRuntime === false) console.log(`DIFFERS on onnxruntime: ${name}`);
  }
  console.log(`of them run by onnxruntime too: ${results.filter((result) => result.onRuntime).length}`);
  console.log(summarize(results));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
