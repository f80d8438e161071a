import { constantField, ELEMENT, FIELD, graphAttribute, nodeField, valueMessage } from './onnx-message.js';
import { nextName } from './optimizer.js';
import { bytesField, joinBytes, readFields, textOf } from './protobuf.js';

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

/** A single number, and one of each step, of which no one knows how many there are. */
const single = (name: string, type: number) => valueMessage(name, type, []);
const many = (name: string) => valueMessage(name, ELEMENT.float, ['whet.steps']);

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

function isExternal(tensor: Uint8Array): boolean {
  let external = false;
  readFields(tensor, (number) => {
    external ||= number === FIELD.tensor.location;
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
    if (number === FIELD.model.graph) graph = content as Uint8Array<ArrayBuffer>;
    else beside.push(whole);
  });
  const [inputs, outputs] = [new Map<string, Uint8Array>(), new Map<string, Uint8Array>()];
  const [inner, outer, own]: [Uint8Array[], Uint8Array[], string[]] = [[], [], []];
  readFields(graph, (number, content, whole) => {
    if (number === FIELD.graph.initializer) own.push(nameIn(content, FIELD.tensor.name));
    if (number === FIELD.graph.input) inputs.set(nameIn(content, 1), content);
    else if (number === FIELD.graph.output) outputs.set(nameIn(content, 1), content);
    // onnxruntime looks for values beside the file in the outermost graph.
    else if (number === FIELD.graph.initializer && isExternal(content)) outer.push(whole);
    else if (number !== FIELD.graph.name) inner.push(whole);
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
    bytesField(FIELD.graph.name, 'step'),
    ...[
      ...[single(step, ELEMENT.int64), single(go, ELEMENT.bool)],
      ...carried.map((name) => like(name, name)),
      ...carried.map((name) => like(name, kept(name))),
      ...values.map((name) => like(name, older(name))),
      single(limit, ELEMENT.float),
    ].map((each) => bytesField(FIELD.graph.input, each)),
    ...[
      single(goOn, ELEMENT.bool),
      ...carried.map((name) => outputs.get(nextName(name)) as Uint8Array),
      ...carried.map((name) => like(name, keptNext(name))),
      ...values.map((name) => like(name, olderNext(name))),
      ...[single(limitNext, ELEMENT.float), single('loss', ELEMENT.float)],
    ].map((each) => bytesField(FIELD.graph.output, each)),
    nodeField('Gather', [LOOP.rates, step], ['rate']),
    ...(isCounted ? [nodeField('Gather', [LOOP.counts, step], ['count'])] : []),
    ...inner,
    ...carried.map((name) => nodeField('Identity', [name], [keptNext(name)])),
    ...values.map((name) => nodeField('Identity', [kept(name)], [olderNext(name)])),
    // Of a loss that is no number, too, nothing is below.
    nodeField('Less', ['loss', limit], [goOn]),
    nodeField('Mul', ['loss', 'whet.relative'], [scaled]),
    nodeField('Add', [scaled, 'whet.absolute'], [limitNext]),
  ];
  const began = [...carried.map(LOOP.first), ...values.map(LOOP.best), ...states.map(LOOP.first)];
  const ended = [...carried.map(LOOP.last), ...carried.map(LOOP.before), ...values.map(LOOP.earlier)];
  const loop = nodeField(
    'Loop',
    [LOOP.trips, 'whet.yes', ...began, ...values.map(LOOP.best), LOOP.limit],
    [...ended, 'whet.lastLimit', LOOP.losses],
    [graphAttribute('body', body)],
  );
  const inside = new Set([...carried, 'rate', 'count']);
  const whole = [
    bytesField(FIELD.graph.name, 'steps'),
    loop,
    ...outer,
    constantField('whet.yes', ELEMENT.bool, [], Uint8Array.of(1)),
    constantField('whet.relative', ELEMENT.float, [], Float32Array.of(1 + RELATIVE)),
    constantField('whet.absolute', ELEMENT.float, [], Float32Array.of(ABSOLUTE)),
    ...[
      ...[...inputs].filter(([name]) => !inside.has(name)).map(([, each]) => each),
      ...[single(LOOP.trips, ELEMENT.int64), many(LOOP.rates), single(LOOP.limit, ELEMENT.float)],
      ...(isCounted ? [many(LOOP.counts)] : []),
      ...carried.map((name) => like(name, LOOP.first(name))),
      ...values.map((name) => like(name, LOOP.best(name))),
    ].map((each) => bytesField(FIELD.graph.input, each)),
    ...[
      ...carried.map((name) => like(name, LOOP.last(name))),
      ...carried.map((name) => like(name, LOOP.before(name))),
      ...values.map((name) => like(name, LOOP.earlier(name))),
      many(LOOP.losses),
    ].map((each) => bytesField(FIELD.graph.output, each)),
  ];
  return joinBytes([...beside, bytesField(FIELD.model.graph, whole)]);
}
