import { onnxMessage } from '@whet/compiler';

/** A field of a message, as `onnx.proto` calls it. */
type Message = Readonly<Record<string, unknown>>;

const INT = 2;
const GRAPH = 5;
const INTS = 7;
const FLOAT = 1;
const INT64 = 7;
const BOOL = 9;
/** Pixels of an image `[1, 4, 4]`. */
const SIDE = 4;

const node = (
  opType: string,
  input: readonly string[],
  output: string,
  attribute: readonly Message[] = [],
): Message => ({
  opType,
  input,
  output: [output],
  attribute,
});
const int = (name: string, i: number): Message => ({ name, type: INT, i });
const ints = (name: string, values: readonly number[]): Message => ({ name, type: INTS, ints: values });
const floats = (name: string, dims: readonly number[], value: (i: number) => number = () => 0.01): Message => {
  const data = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => value(i));
  return { name, dims, dataType: FLOAT, rawData: new Uint8Array(data.buffer) };
};
const int64s = (name: string, values: readonly number[], dims: readonly number[] = [values.length]): Message => ({
  name,
  dims,
  dataType: INT64,
  rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});
const bool = (name: string, value: boolean): Message => ({
  name,
  dims: [],
  dataType: BOOL,
  int32Data: [Number(value)],
});
const graphOf = (name: string, g: Message): Message => ({ name, type: GRAPH, g: encode('GraphProto', g) });
const counted = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

function encode(type: 'ModelProto' | 'GraphProto', fields: Message): Uint8Array {
  const message = onnxMessage(type);
  return message.encode(message.fromObject(fields)).finish();
}

const tensorInfo = (name: string, elemType: number, dims?: readonly (number | string)[]): Message => {
  const dim = dims?.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType, ...(dim ? { shape: { dim } } : {}) } } };
};

/** Images `x [N, 1, 4, 4]`, what an attack does to them, and a classifier of 2 classes above its last value. */
function classifier(middle: readonly Message[], last: string, initializers: readonly Message[] = [], opset = 17) {
  return encode('ModelProto', {
    irVersion: 8,
    opsetImport: [{ domain: '', version: opset }],
    graph: {
      name: 'hostile',
      node: [
        ...middle,
        node('Flatten', [last], 'flat', [int('axis', 1)]),
        node('Gemm', ['flat', 'fc.weight', 'fc.bias'], 'logits'),
      ],
      input: [tensorInfo('x', FLOAT, ['N', 1, SIDE, SIDE])],
      output: [tensorInfo('logits', FLOAT, ['N', 2])],
      initializer: [...initializers, floats('fc.weight', [SIDE * SIDE, 2], (i) => Math.sin(i)), floats('fc.bias', [2])],
    },
  });
}

/** A value of the images, and `by` (of shape `[1]` or the images') added to it. */
const added = (by: string): Message[] => [node('Add', ['x', by], 'h')];

const reluChain = (count: number) =>
  classifier(
    counted(count, (i) => node('Relu', [i === 0 ? 'x' : `h${i - 1}`], `h${i}`)),
    `h${count - 1}`,
  );

/** What is below the first layer prepares images, and moves nowhere. */
const firstLayer = node('PRelu', ['x', 'slope'], 'e');

const addChain = (count: number) =>
  classifier(
    [firstLayer, ...counted(count, (i) => node('Add', [i === 0 ? 'e' : `h${i - 1}`, `w${i}`], `h${i}`))],
    `h${count - 1}`,
    [floats('slope', [1, 1, 1]), ...counted(count, (i) => floats(`w${i}`, [1, 1, SIDE]))],
  );

const doublings = (count: number) =>
  classifier(
    counted(count, (i) => node('Mul', [i === 0 ? 'x' : `h${i - 1}`, i === 0 ? 'x' : `h${i - 1}`], `h${i}`)),
    `h${count - 1}`,
  );

/** One value read by many, whose results are added two by two. */
const fan = (count: number) =>
  classifier(
    [
      firstLayer,
      ...counted(count, (i) => node('Mul', ['e', `w${i}`], `m${i}`)),
      node(
        'Sum',
        counted(count, (i) => `m${i}`),
        'h',
      ),
    ],
    'h',
    [floats('slope', [1, 1, 1]), ...counted(count, (i) => floats(`w${i}`, [1, 1, SIDE]))],
  );

/** A Concat of as many inputs, summed again. */
const wideConcat = (count: number) =>
  classifier(
    [
      node(
        'Concat',
        counted(count, () => 'x'),
        'wide',
        [int('axis', 1)],
      ),
      node('ReduceMean', ['wide'], 'h', [ints('axes', [1]), int('keepdims', 1)]),
    ],
    'h',
  );

const constantChain = (count: number) =>
  classifier(
    [...counted(count, (i) => node('Relu', [i === 0 ? 'c' : `k${i - 1}`], `k${i}`)), ...added(`k${count - 1}`)],
    'h',
    [floats('c', [1])],
  );

const unused = (count: number) =>
  classifier([...counted(count, (i) => node('Relu', ['x'], `u${i}`)), node('Relu', ['x'], 'h')], 'h');

const manyInitializers = (count: number) =>
  classifier(
    [node('Relu', ['x'], 'h')],
    'h',
    counted(count, (i) => floats(`w${i}`, [1])),
  );

const branch = (fields: Message): Message => ({ name: 'branch', output: [tensorInfo('b', FLOAT)], ...fields });
const leaf = (op: string): Message => branch({ node: [node(op, ['x'], 'b')] });
const ifNode = (condition: string, output: string, yes: Message, no: Message): Message =>
  node('If', [condition], output, [graphOf('then_branch', yes), graphOf('else_branch', no)]);

/** A binary tree of `If`; its condition is a constant, or is computed of the images. */
function ifTree(depth: number, constant: boolean) {
  const grow = (left: number): Message =>
    left === 0 ? leaf('Relu') : branch({ node: [ifNode('cond', 'b', grow(left - 1), grow(left - 1))] });
  const condition = constant
    ? []
    : [node('ReduceMax', ['x'], 'most', [int('keepdims', 0)]), node('Greater', ['most', 'zero'], 'cond')];
  return classifier([...condition, ifNode('cond', 'h', grow(depth - 1), leaf('Neg'))], 'h', [
    constant ? bool('cond', true) : floats('zero', []),
  ]);
}

/** `If` in `If`, as deep. */
function ifChain(depth: number) {
  let inner = leaf('Relu');
  for (let i = 0; i < depth; i++) inner = branch({ node: [ifNode('cond', 'b', inner, leaf('Neg'))] });
  return classifier([ifNode('cond', 'h', inner, leaf('Neg'))], 'h', [bool('cond', true)]);
}

const manyIfs = (count: number) =>
  classifier(
    counted(count, (i) => {
      const from = i === 0 ? 'x' : `h${i - 1}`;
      const relu = branch({ node: [node('Relu', [from], 'b')] });
      return ifNode('cond', `h${i}`, relu, branch({ node: [node('Neg', [from], 'b')] }));
    }),
    `h${count - 1}`,
    [bool('cond', true)],
  );

/** A Loop over `start`; with `turns`, or until its condition says no, which it never does. */
function loop(turns: 'most' | 'endless' | number, start: 'images' | 'constant') {
  const body: Message = {
    name: 'body',
    input: [tensorInfo('turn', INT64, []), tensorInfo('go', BOOL, []), tensorInfo('v', FLOAT)],
    node: [node('Identity', ['go'], 'on'), node('Relu', ['v'], 'w')],
    output: [tensorInfo('on', BOOL), tensorInfo('w', FLOAT)],
  };
  const count: Message =
    turns === 'most'
      ? { name: 'turns', dims: [], dataType: INT64, rawData: Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 127) }
      : int64s('turns', [turns === 'endless' ? 0 : turns], []);
  const inputs = [turns === 'endless' ? '' : 'turns', 'true', start === 'images' ? 'x' : 'c'];
  const made = node('Loop', inputs, start === 'images' ? 'h' : 'k', [graphOf('body', body)]);
  return classifier(start === 'images' ? [made] : [made, ...added('k')], 'h', [
    count,
    bool('true', true),
    floats('c', [1]),
  ]);
}

/** `count` products of constants `[size, size]`, which a few bytes expand, down to one number. */
const products = (size: number, count: number) =>
  classifier(
    [
      node('Expand', ['c', 'square'], 'p0'),
      ...counted(count, (i) => node('MatMul', [`p${i}`, 'p0'], `p${i + 1}`)),
      node('ReduceMean', [`p${count}`], 'k', [int('keepdims', 0)]),
      ...added('k'),
    ],
    'h',
    [floats('c', [1, 1]), int64s('square', [size, size])],
  );

/** The same product of what the images are multiplied with, which no folding sees. */
const imageProducts = (size: number, count: number) =>
  classifier(
    [
      node('ReduceMean', ['x'], 'mean', [ints('axes', [2, 3]), int('keepdims', 1)]),
      node('Expand', ['mean', 'square'], 'p0'),
      ...counted(count, (i) => node('MatMul', [`p${i}`, 'p0'], `p${i + 1}`)),
      node('ReduceMean', [`p${count}`], 'k', [ints('axes', [2, 3]), int('keepdims', 1)]),
      ...added('k'),
    ],
    'h',
    [int64s('square', [1, 1, size, size])],
  );

const einsum = (size: number) =>
  classifier(
    [
      node('Expand', ['c', 'square'], 'p'),
      node('Einsum', ['p', 'p', 'p'], 'k', [{ name: 'equation', type: 3, s: new TextEncoder().encode('ij,jk,kl->') }]),
      ...added('k'),
    ],
    'h',
    [floats('c', [1, 1]), int64s('square', [size, size])],
  );

/** A constant that a few bytes make `count` numbers large, and its mean. */
const inflations: Readonly<Record<string, (count: number) => readonly [Message[], Message[]]>> = {
  Expand: (count) => [[node('Expand', ['c', 'size'], 'big')], [int64s('size', [count])]],
  ConstantOfShape: (count) => [[node('ConstantOfShape', ['size'], 'big')], [int64s('size', [count])]],
  Tile: (count) => [[node('Tile', ['c', 'size'], 'big')], [int64s('size', [count])]],
  Range: (count) => [
    [node('Range', ['from', 'to', 'by'], 'ints'), node('Cast', ['ints'], 'big', [int('to', FLOAT)])],
    [int64s('from', [0], []), int64s('to', [count], []), int64s('by', [1], [])],
  ],
  Pad: (count) => [[node('Pad', ['c', 'size'], 'big')], [int64s('size', [0, count])]],
  Resize: (count) => [[node('Resize', ['c', '', '', 'size'], 'big')], [int64s('size', [count])]],
  Concat: (count) => {
    const steps = Math.max(1, Math.ceil(Math.log2(count)));
    const double = (i: number) => {
      const from = i === 0 ? 'c' : `d${i - 1}`;
      return node('Concat', [from, from], i === steps - 1 ? 'big' : `d${i}`, [int('axis', 0)]);
    };
    return [counted(steps, double), []];
  },
  Add: (count) => {
    const side = Math.ceil(Math.sqrt(count));
    return [
      [
        node('Expand', ['c', 'row'], 'rows'),
        node('Expand', ['c', 'column'], 'columns'),
        node('Add', ['rows', 'columns'], 'big'),
      ],
      [int64s('row', [1, side]), int64s('column', [side, 1])],
    ];
  },
};

function inflated(name: string, count: number, times = 1, opset = 17) {
  const [nodes, initializers] = inflations[name]?.(count) ?? [[], []];
  const others = counted(times - 1, (i) => node('Neg', [i === 0 ? 'big' : `n${i - 1}`], `n${i}`));
  return classifier(
    [
      ...nodes,
      ...others,
      node('ReduceMax', [times > 1 ? `n${times - 2}` : 'big'], 'k', [int('keepdims', 0)]),
      ...added('k'),
    ],
    'h',
    [floats('c', [1]), ...initializers],
    opset,
  );
}

const longNames = (length: number) => {
  const name = (i: number) => `${'n'.repeat(length)}${i}`;
  return classifier(
    counted(200, (i) => node('Relu', [i === 0 ? 'x' : name(i - 1)], name(i))),
    name(199),
  );
};

/** `Transpose` with as many axes as its permutation. */
const longAttribute = (count: number) =>
  classifier(
    [
      node('Transpose', ['x'], 'h', [
        ints(
          'perm',
          counted(count, (i) => i),
        ),
      ]),
    ],
    'h',
  );

const manyAttributes = (count: number) =>
  classifier(
    [
      node(
        'Relu',
        ['x'],
        'h',
        counted(count, (i) => int(`a${i}`, i)),
      ),
    ],
    'h',
  );

const largeRank = (count: number) =>
  classifier([node('Reshape', ['x', 'shape'], 'r'), node('Reshape', ['r', 'back'], 'h')], 'h', [
    int64s('shape', [-1, SIDE * SIDE, ...counted(count, () => 1)]),
    int64s('back', [-1, 1, SIDE, SIDE]),
  ]);

const largeWeight = (dims: readonly number[]) =>
  classifier([...added('w')], 'h', [{ name: 'w', dims, dataType: FLOAT, rawData: new Uint8Array(4) }]);

const weightOf = (value: number) =>
  classifier([node('Conv', ['x', 'conv.weight'], 'h', [ints('pads', [1, 1, 1, 1])])], 'h', [
    floats('conv.weight', [1, 1, 3, 3], (i) => (i === 4 ? value : 0.1)),
  ]);

/** A function of the model that calls one before it, twice, as deep; 2^depth nodes when they are written out. */
function functionTree(depth: number) {
  const domain = 'own';
  const call = (i: number, from: string, to: string): Message => ({
    opType: i < 0 ? 'Relu' : `f${i}`,
    domain: i < 0 ? '' : domain,
    input: [from],
    output: [to],
  });
  return encode('ModelProto', {
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 17 },
      { domain, version: 1 },
    ],
    functions: counted(depth, (i) => ({
      name: `f${i}`,
      domain,
      input: ['a'],
      output: ['c'],
      node: [call(i - 1, 'a', 'b'), call(i - 1, 'b', 'c')],
    })),
    graph: {
      name: 'hostile',
      node: [
        call(depth - 1, 'x', 'h'),
        node('Flatten', ['h'], 'flat', [int('axis', 1)]),
        node('Gemm', ['flat', 'fc.weight'], 'logits'),
      ],
      input: [tensorInfo('x', FLOAT, ['N', 1, SIDE, SIDE])],
      output: [tensorInfo('logits', FLOAT)],
      initializer: [floats('fc.weight', [SIDE * SIDE, 2], (i) => Math.sin(i))],
    },
  });
}

export interface HostileModel {
  /** The file; `scale` 1 is what an attacker would send, less of it the same kind for a test. */
  readonly build: (scale: number) => Uint8Array;
  /** What moves; nothing but the head when absent. */
  readonly moves?: 'all';
}

const scaled = (count: number, scale: number): number => Math.max(1, Math.round(count * scale));

/** Models that ask for much more than their size says: long, wide, deep, endless, folded to any size, not finite. */
export const hostileModels: Readonly<Record<string, HostileModel>> = {
  'relu chain': { build: (s) => reluChain(scaled(100_000, s)) },
  'relu chain, shorter': { build: (s) => reluChain(scaled(20_000, s)), moves: 'all' },
  'add chain': { build: (s) => addChain(scaled(30_000, s)), moves: 'all' },
  'add chain, shorter': { build: (s) => addChain(scaled(9_000, s)), moves: 'all' },
  'mul chain': { build: (s) => doublings(scaled(9_000, s)) },
  'wide sum': { build: (s) => fan(scaled(9_000, s)), moves: 'all' },
  'wide concat': { build: (s) => wideConcat(scaled(100_000, s)), moves: 'all' },
  'chain of constants': { build: (s) => constantChain(scaled(20_000, s)) },
  'unused nodes': { build: (s) => unused(scaled(1_000_000, s)) },
  initializers: { build: (s) => manyInitializers(scaled(1_000_000, s)) },
  'if tree': { build: (s) => ifTree(scaled(15, s), false) },
  'if tree of a constant': { build: (s) => ifTree(scaled(15, s), true) },
  'if chain': { build: (s) => ifChain(scaled(300, s)) },
  'many ifs': { build: (s) => manyIfs(scaled(9_000, s)) },
  'function tree': { build: (s) => functionTree(scaled(40, s)) },
  'loop of 2^63 turns': { build: () => loop('most', 'images') },
  'loop of 2^63 turns of a constant': { build: () => loop('most', 'constant') },
  'loop without an end': { build: () => loop('endless', 'images') },
  'loop of 1e9 turns': { build: () => loop(1e9, 'images') },
  'product of constants': { build: (s) => products(scaled(3000, s), 1) },
  'products of constants': { build: (s) => products(scaled(3000, s), 50) },
  'products of images': { build: (s) => imageProducts(scaled(3000, s), 50) },
  'einsum of constants': { build: (s) => einsum(scaled(3000, s)) },
  ...Object.fromEntries(
    Object.keys(inflations).flatMap((name) => [
      [`${name} of 2^40 numbers`, { build: (s: number) => inflated(name, scaled(2 ** 40, s)) }],
      [`${name} of 9e6 numbers, 200 times`, { build: (s: number) => inflated(name, scaled(9e6, s), 200) }],
      [`${name} of 2^31 numbers, unread`, { build: (s: number) => inflated(name, scaled(2 ** 31, s), 1, 25) }],
    ]),
  ),
  'long names': { build: (s) => longNames(scaled(100_000, s)) },
  'long attribute': { build: (s) => longAttribute(scaled(5_000_000, s)) },
  'many attributes': { build: (s) => manyAttributes(scaled(1_000_000, s)) },
  'large rank': { build: (s) => largeRank(scaled(100_000, s)) },
  'weight of 2^40 numbers': { build: () => largeWeight([2 ** 20, 2 ** 20]) },
  'weight of NaN': { build: () => weightOf(Number.NaN) },
  'infinite weight': { build: () => weightOf(Number.POSITIVE_INFINITY) },
};
