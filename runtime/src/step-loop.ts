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
  /** What steps change: before the first of them, */
  first: (name: string) => `whet.first/${name}`,
  /** after the last, */
  last: (name: string) => `whet.last/${name}`,
  /** and before the last; */
  before: (name: string) => `whet.before/${name}`,
  /** values before the one before the last, */
  earlier: (name: string) => `whet.earlier/${name}`,
  /** which before the first are these. */
  best: (name: string) => `whet.best/${name}`,
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

/** A name of the loop's own, of a value where it is of one. */
const inBody =
  (kind: string) =>
  (name = ''): string =>
    `whet.body/${kind}/${name}`;

/** The parts of a step's model: its graph's inputs and outputs, what stays in it, and what the outermost graph has to have. */
function partsOf(model: Uint8Array) {
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
  return { beside, inputs, outputs, inner, outer };
}

/**
 * The model of a step as one of several in a run: its graph as the body of ONNX's `Loop`, which hands what steps change, `values` and `states`,
 * from each to the next, and ends after the first whose loss rose; then it tells what was before that one, too. A run of its own costs a
 * sixth of the time of a step of the last layers. The bundle's file stays a plain graph, which any engine runs.
 */
export function loopModel(model: Uint8Array, values: readonly string[], states: readonly string[]): Uint8Array {
  const { beside, inputs, outputs, inner, outer } = partsOf(model);
  const carried = [...values, ...states];
  const isCounted = inputs.has('count');
  const like = (name: string, called: string): Uint8Array => renamed(inputs.get(name) as Uint8Array, called);
  const [step, go, goOn] = [inBody('step')(), inBody('go')(), inBody('goOn')()];
  const [limit, limitNext, scaled] = [inBody('limit')(), inBody('limitNext')(), inBody('scaled')()];
  // What each step hands on besides: what was before it, and values from before that.
  const [kept, keptNext, older, olderNext] = [inBody('kept'), inBody('keptNext'), inBody('older'), inBody('olderNext')];
  const body = [
    bytesField(IN_GRAPH.name, 'step'),
    ...[
      ...[value(step, INT64), value(go, BOOL)],
      ...carried.map((name) => like(name, name)),
      ...carried.map((name) => like(name, kept(name))),
      ...values.map((name) => like(name, older(name))),
      value(limit, FLOAT),
    ].map((each) => bytesField(IN_GRAPH.input, each)),
    ...[
      value(goOn, BOOL),
      ...carried.map((name) => outputs.get(nextName(name)) as Uint8Array),
      ...carried.map((name) => like(name, keptNext(name))),
      ...values.map((name) => like(name, olderNext(name))),
      ...[value(limitNext, FLOAT), value('loss', FLOAT)],
    ].map((each) => bytesField(IN_GRAPH.output, each)),
    node('Gather', [LOOP.rates, step], ['rate']),
    ...(isCounted ? [node('Gather', [LOOP.counts, step], ['count'])] : []),
    ...inner,
    ...carried.map((name) => node('Identity', [name], [keptNext(name)])),
    ...values.map((name) => node('Identity', [kept(name)], [olderNext(name)])),
    // Of a loss that is no number, too, nothing is below.
    node('Less', ['loss', limit], [goOn]),
    node('Mul', ['loss', 'whet.relative'], [scaled]),
    node('Add', [scaled, 'whet.absolute'], [limitNext]),
  ];
  const began = [...carried.map(LOOP.first), ...values.map(LOOP.best), ...states.map(LOOP.first)];
  const ended = [...carried.map(LOOP.last), ...carried.map(LOOP.before), ...values.map(LOOP.earlier)];
  const loop = node(
    'Loop',
    [LOOP.trips, 'whet.yes', ...began, ...values.map(LOOP.best), LOOP.limit],
    [...ended, 'whet.lastLimit', LOOP.losses],
    [bytesField(5, [bytesField(1, 'body'), bytesField(6, body), numberField(20, GRAPH)])],
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
      ...[value(LOOP.trips, INT64), value(LOOP.rates, FLOAT, true), value(LOOP.limit, FLOAT)],
      ...(isCounted ? [value(LOOP.counts, FLOAT, true)] : []),
      ...carried.map((name) => like(name, LOOP.first(name))),
      ...values.map((name) => like(name, LOOP.best(name))),
    ].map((each) => bytesField(IN_GRAPH.input, each)),
    ...[
      ...carried.map((name) => like(name, LOOP.last(name))),
      ...carried.map((name) => like(name, LOOP.before(name))),
      ...values.map((name) => like(name, LOOP.earlier(name))),
      value(LOOP.losses, FLOAT, true),
    ].map((each) => bytesField(IN_GRAPH.output, each)),
  ];
  return joinBytes([...beside, bytesField(IN_MODEL.graph, whole)]);
}
