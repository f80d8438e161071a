import { nextName } from './optimizer.js';
import { bytesField, joinBytes, numberField, readFields, textOf } from './protobuf.js';

/** A step counts where its loss is below that of the step before times the first number, plus the second: more is no rounding. */
export const [RELATIVE, ABSOLUTE] = [1e-5, 1e-6];

/** What a loop of steps reads and tells beside what a step does. */
export const LOOP = {
  /** int64 `[]`: steps to take. */
  trips: 'whet.trips',
  /** Of each step, `[steps]`. */
  rates: 'whet.rates',
  /** Number of each step, `[steps]`. */
  counts: 'whet.counts',
  /** Loss that the first step's is below, `[]`. */
  limit: 'whet.limit',
  /** Before each step that was taken, `[taken]`. */
  losses: 'whet.losses',
  first: (value: string) => `whet.first/${value}`,
  last: (value: string) => `whet.last/${value}`,
} as const;

/** Numbers of types and fields of onnx.proto (ONNX IR, https://onnx.ai/onnx/repo-docs/IR.html). */
const [FLOAT, INT64, BOOL, GRAPH] = [1, 7, 9, 5];
const IN_MODEL = { graph: 7 };
const IN_GRAPH = { node: 1, name: 2, initializer: 5, input: 11, output: 12 };
const IN_TENSOR = { dataType: 2, name: 8, raw: 9, location: 14 };

/** A node; `attributes` are fields. */
const node = (type: string, inputs: readonly string[], outputs: readonly string[], attributes: Uint8Array[] = []) =>
  bytesField(IN_GRAPH.node, [
    ...inputs.map((name) => bytesField(1, name)),
    ...outputs.map((name) => bytesField(2, name)),
    bytesField(4, type),
    ...attributes,
  ]);

/** Name and type of a value; of a vector, of which no one knows the length, or of a single number. */
function value(name: string, type: number, vector = false): Uint8Array {
  const shape = vector ? bytesField(2, [bytesField(1, bytesField(2, 'whet.steps'))]) : bytesField(2, []);
  return joinBytes([bytesField(1, name), bytesField(2, bytesField(1, [numberField(1, type), shape]))]);
}

function renamed(message: Uint8Array, name: string): Uint8Array {
  const fields = [bytesField(1, name)];
  readFields(message, (number, _, whole) => {
    if (number !== 1) fields.push(whole);
  });
  return joinBytes(fields);
}

const nameIn = (message: Uint8Array, number: number): string => {
  let name = '';
  readFields(message, (each, content) => {
    if (each === number) name = textOf(content);
  });
  return name;
};

const constant = (name: string, type: number, raw: Uint8Array): Uint8Array =>
  bytesField(IN_GRAPH.initializer, [
    numberField(IN_TENSOR.dataType, type),
    bytesField(IN_TENSOR.name, name),
    bytesField(IN_TENSOR.raw, raw),
  ]);

const number = (value: number): Uint8Array => {
  const raw = new Uint8Array(4);
  new DataView(raw.buffer).setFloat32(0, value, true);
  return raw;
};

function isExternal(tensor: Uint8Array): boolean {
  let external = false;
  readFields(tensor, (number) => {
    external ||= number === IN_TENSOR.location;
  });
  return external;
}

/**
 * The model of a step as one of several in a run: its graph as the body of ONNX's `Loop`, which hands what steps change from each to the next,
 * and ends after the first whose loss rose. Where each step is a run of its own, its values go through JavaScript, which takes a fifth of the
 * time of a step that moves a million. The bundle's file stays a plain graph, which any engine runs.
 */
export function loopModel(model: Uint8Array, carried: readonly string[]): Uint8Array {
  const beside: Uint8Array[] = [];
  let graph = new Uint8Array();
  readFields(model, (number, content, whole) => {
    if (number === IN_MODEL.graph) graph = content as Uint8Array<ArrayBuffer>;
    else beside.push(whole);
  });
  const [inputs, outputs] = [new Map<string, Uint8Array>(), new Map<string, Uint8Array>()];
  const [inner, outer, own]: [Uint8Array[], Uint8Array[], string[]] = [[], [], []];
  readFields(graph, (number, content, whole) => {
    if (number === IN_GRAPH.initializer) own.push(nameIn(content, IN_TENSOR.name));
    if (number === IN_GRAPH.input) inputs.set(nameIn(content, 1), content);
    else if (number === IN_GRAPH.output) outputs.set(nameIn(content, 1), content);
    // onnxruntime looks for values beside the file in the outermost graph.
    else if (number === IN_GRAPH.initializer && isExternal(content)) outer.push(whole);
    else if (number !== IN_GRAPH.name) inner.push(whole);
  });
  // Values that the graph has itself may be listed among its inputs, too.
  for (const name of own) inputs.delete(name);

  const isCounted = inputs.has('count');
  const next = (name: string): Uint8Array => outputs.get(nextName(name)) as Uint8Array;
  const [step, go, goOn, limit, limitNext, scaled] = ['step', 'go', 'goOn', 'limit', 'limitNext', 'scaled'].map(
    (name) => `whet.body/${name}`,
  ) as [string, string, string, string, string, string];
  const body = [
    bytesField(IN_GRAPH.name, 'step'),
    ...[
      value(step, INT64),
      value(go, BOOL),
      ...carried.map((name) => inputs.get(name) as Uint8Array),
      value(limit, FLOAT),
    ].map((each) => bytesField(IN_GRAPH.input, each)),
    ...[value(goOn, BOOL), ...carried.map(next), value(limitNext, FLOAT), value('loss', FLOAT)].map((each) =>
      bytesField(IN_GRAPH.output, each),
    ),
    node('Gather', [LOOP.rates, step], ['rate']),
    ...(isCounted ? [node('Gather', [LOOP.counts, step], ['count'])] : []),
    ...inner,
    // Of a loss that is no number, too, nothing is below.
    node('Less', ['loss', limit], [goOn]),
    node('Mul', ['loss', 'whet.relative'], [scaled]),
    node('Add', [scaled, 'whet.absolute'], [limitNext]),
  ];
  const bodyAttribute = bytesField(5, [bytesField(1, 'body'), bytesField(6, body), numberField(20, GRAPH)]);
  const loop = node(
    'Loop',
    [LOOP.trips, 'whet.yes', ...carried.map(LOOP.first), LOOP.limit],
    [...carried.map(LOOP.last), 'whet.lastLimit', LOOP.losses],
    [bodyAttribute],
  );
  const inside = new Set([...carried, 'rate', 'count']);
  const whole = [
    bytesField(IN_GRAPH.name, 'steps'),
    loop,
    ...outer,
    constant('whet.yes', BOOL, Uint8Array.of(1)),
    constant('whet.relative', FLOAT, number(1 + RELATIVE)),
    constant('whet.absolute', FLOAT, number(ABSOLUTE)),
    ...[
      ...[...inputs].filter(([name]) => !inside.has(name)).map(([, each]) => each),
      value(LOOP.trips, INT64),
      value(LOOP.rates, FLOAT, true),
      ...(isCounted ? [value(LOOP.counts, FLOAT, true)] : []),
      value(LOOP.limit, FLOAT),
      ...carried.map((name) => renamed(inputs.get(name) as Uint8Array, LOOP.first(name))),
    ].map((each) => bytesField(IN_GRAPH.input, each)),
    ...[...carried.map((name) => renamed(next(name), LOOP.last(name))), value(LOOP.losses, FLOAT, true)].map((each) =>
      bytesField(IN_GRAPH.output, each),
    ),
  ];
  return joinBytes([...beside, bytesField(IN_MODEL.graph, whole)]);
}
