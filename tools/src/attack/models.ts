import {
  BOOL,
  bool,
  classifier,
  counted,
  encode,
  FLOAT,
  floats,
  graphOf,
  IMAGE_SIDE,
  INT64,
  int,
  int64Fields,
  ints,
  nodeFields,
  type OnnxFields,
  valueInfo,
} from './model-parts.js';

/** A value of the images, and `by` (of shape `[1]` or the images') added to it. */
const added = (by: string): OnnxFields[] => [nodeFields('Add', ['x', by], 'h')];

const reluChain = (count: number) =>
  classifier(
    counted(count, (i) => nodeFields('Relu', [i === 0 ? 'x' : `h${i - 1}`], `h${i}`)),
    `h${count - 1}`,
  );

/** What is below the first layer prepares images, and moves nowhere. */
const firstLayer = nodeFields('PRelu', ['x', 'slope'], 'e');

const addChain = (count: number) =>
  classifier(
    [firstLayer, ...counted(count, (i) => nodeFields('Add', [i === 0 ? 'e' : `h${i - 1}`, `w${i}`], `h${i}`))],
    `h${count - 1}`,
    [floats('slope', [1, 1, 1]), ...counted(count, (i) => floats(`w${i}`, [1, 1, IMAGE_SIDE]))],
  );

const doublings = (count: number) =>
  classifier(
    counted(count, (i) => nodeFields('Mul', [i === 0 ? 'x' : `h${i - 1}`, i === 0 ? 'x' : `h${i - 1}`], `h${i}`)),
    `h${count - 1}`,
  );

/** One value read by many, whose results are added two by two. */
const fan = (count: number) =>
  classifier(
    [
      firstLayer,
      ...counted(count, (i) => nodeFields('Mul', ['e', `w${i}`], `m${i}`)),
      nodeFields(
        'Sum',
        counted(count, (i) => `m${i}`),
        'h',
      ),
    ],
    'h',
    [floats('slope', [1, 1, 1]), ...counted(count, (i) => floats(`w${i}`, [1, 1, IMAGE_SIDE]))],
  );

/** A Concat of as many inputs, summed again. */
const wideConcat = (count: number) =>
  classifier(
    [
      nodeFields(
        'Concat',
        counted(count, () => 'x'),
        'wide',
        [int('axis', 1)],
      ),
      nodeFields('ReduceMean', ['wide'], 'h', [ints('axes', [1]), int('keepdims', 1)]),
    ],
    'h',
  );

const constantChain = (count: number) =>
  classifier(
    [...counted(count, (i) => nodeFields('Relu', [i === 0 ? 'c' : `k${i - 1}`], `k${i}`)), ...added(`k${count - 1}`)],
    'h',
    [floats('c', [1])],
  );

const unused = (count: number) =>
  classifier([...counted(count, (i) => nodeFields('Relu', ['x'], `u${i}`)), nodeFields('Relu', ['x'], 'h')], 'h');

const manyInitializers = (count: number) =>
  classifier(
    [nodeFields('Relu', ['x'], 'h')],
    'h',
    counted(count, (i) => floats(`w${i}`, [1])),
  );

const branch = (fields: OnnxFields): OnnxFields => ({ name: 'branch', output: [valueInfo('b', FLOAT)], ...fields });
const leaf = (op: string): OnnxFields => branch({ node: [nodeFields(op, ['x'], 'b')] });
const ifNode = (condition: string, output: string, yes: OnnxFields, no: OnnxFields): OnnxFields =>
  nodeFields('If', [condition], output, [graphOf('then_branch', yes), graphOf('else_branch', no)]);

/** A binary tree of `If`; its condition is a constant, or is computed of the images. */
function ifTree(depth: number, constant: boolean) {
  const grow = (left: number): OnnxFields =>
    left === 0 ? leaf('Relu') : branch({ node: [ifNode('cond', 'b', grow(left - 1), grow(left - 1))] });
  const condition = constant
    ? []
    : [nodeFields('ReduceMax', ['x'], 'most', [int('keepdims', 0)]), nodeFields('Greater', ['most', 'zero'], 'cond')];
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
      const relu = branch({ node: [nodeFields('Relu', [from], 'b')] });
      return ifNode('cond', `h${i}`, relu, branch({ node: [nodeFields('Neg', [from], 'b')] }));
    }),
    `h${count - 1}`,
    [bool('cond', true)],
  );

/** A Loop over `start`; with `turns`, or until its condition says no, which it never does. */
function loop(turns: 'most' | 'endless' | number, start: 'images' | 'constant') {
  const body: OnnxFields = {
    name: 'body',
    input: [valueInfo('turn', INT64, []), valueInfo('go', BOOL, []), valueInfo('v', FLOAT)],
    node: [nodeFields('Identity', ['go'], 'on'), nodeFields('Relu', ['v'], 'w')],
    output: [valueInfo('on', BOOL), valueInfo('w', FLOAT)],
  };
  const count: OnnxFields =
    turns === 'most'
      ? { name: 'turns', dims: [], dataType: INT64, rawData: Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 127) }
      : int64Fields('turns', [turns === 'endless' ? 0 : turns], []);
  const inputs = [turns === 'endless' ? '' : 'turns', 'true', start === 'images' ? 'x' : 'c'];
  const made = nodeFields('Loop', inputs, start === 'images' ? 'h' : 'k', [graphOf('body', body)]);
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
      nodeFields('Expand', ['c', 'square'], 'p0'),
      ...counted(count, (i) => nodeFields('MatMul', [`p${i}`, 'p0'], `p${i + 1}`)),
      nodeFields('ReduceMean', [`p${count}`], 'k', [int('keepdims', 0)]),
      ...added('k'),
    ],
    'h',
    [floats('c', [1, 1]), int64Fields('square', [size, size])],
  );

/** The same product of what the images are multiplied with, which no folding sees. */
const imageProducts = (size: number, count: number) =>
  classifier(
    [
      nodeFields('ReduceMean', ['x'], 'mean', [ints('axes', [2, 3]), int('keepdims', 1)]),
      nodeFields('Expand', ['mean', 'square'], 'p0'),
      ...counted(count, (i) => nodeFields('MatMul', [`p${i}`, 'p0'], `p${i + 1}`)),
      nodeFields('ReduceMean', [`p${count}`], 'k', [ints('axes', [2, 3]), int('keepdims', 1)]),
      ...added('k'),
    ],
    'h',
    [int64Fields('square', [1, 1, size, size])],
  );

const einsum = (size: number) =>
  classifier(
    [
      nodeFields('Expand', ['c', 'square'], 'p'),
      nodeFields('Einsum', ['p', 'p', 'p'], 'k', [
        { name: 'equation', type: 3, s: new TextEncoder().encode('ij,jk,kl->') },
      ]),
      ...added('k'),
    ],
    'h',
    [floats('c', [1, 1]), int64Fields('square', [size, size])],
  );

/** A constant that a few bytes make `count` numbers large, and its mean. */
const inflations: Readonly<Record<string, (count: number) => readonly [OnnxFields[], OnnxFields[]]>> = {
  Expand: (count) => [[nodeFields('Expand', ['c', 'size'], 'big')], [int64Fields('size', [count])]],
  ConstantOfShape: (count) => [[nodeFields('ConstantOfShape', ['size'], 'big')], [int64Fields('size', [count])]],
  Tile: (count) => [[nodeFields('Tile', ['c', 'size'], 'big')], [int64Fields('size', [count])]],
  Range: (count) => [
    [nodeFields('Range', ['from', 'to', 'by'], 'ints'), nodeFields('Cast', ['ints'], 'big', [int('to', FLOAT)])],
    [int64Fields('from', [0], []), int64Fields('to', [count], []), int64Fields('by', [1], [])],
  ],
  Pad: (count) => [[nodeFields('Pad', ['c', 'size'], 'big')], [int64Fields('size', [0, count])]],
  Resize: (count) => [[nodeFields('Resize', ['c', '', '', 'size'], 'big')], [int64Fields('size', [count])]],
  Concat: (count) => {
    const steps = Math.max(1, Math.ceil(Math.log2(count)));
    const double = (i: number) => {
      const from = i === 0 ? 'c' : `d${i - 1}`;
      return nodeFields('Concat', [from, from], i === steps - 1 ? 'big' : `d${i}`, [int('axis', 0)]);
    };
    return [counted(steps, double), []];
  },
  Add: (count) => {
    const side = Math.ceil(Math.sqrt(count));
    return [
      [
        nodeFields('Expand', ['c', 'row'], 'rows'),
        nodeFields('Expand', ['c', 'column'], 'columns'),
        nodeFields('Add', ['rows', 'columns'], 'big'),
      ],
      [int64Fields('row', [1, side]), int64Fields('column', [side, 1])],
    ];
  },
};

function inflated(name: string, count: number, times = 1, opset = 17) {
  const [nodes, initializers] = inflations[name]?.(count) ?? [[], []];
  const others = counted(times - 1, (i) => nodeFields('Neg', [i === 0 ? 'big' : `n${i - 1}`], `n${i}`));
  return classifier(
    [
      ...nodes,
      ...others,
      nodeFields('ReduceMax', [times > 1 ? `n${times - 2}` : 'big'], 'k', [int('keepdims', 0)]),
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
    counted(200, (i) => nodeFields('Relu', [i === 0 ? 'x' : name(i - 1)], name(i))),
    name(199),
  );
};

/** `Transpose` with as many axes as its permutation. */
const longAttribute = (count: number) =>
  classifier(
    [
      nodeFields('Transpose', ['x'], 'h', [
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
      nodeFields(
        'Relu',
        ['x'],
        'h',
        counted(count, (i) => int(`a${i}`, i)),
      ),
    ],
    'h',
  );

const largeRank = (count: number) =>
  classifier([nodeFields('Reshape', ['x', 'shape'], 'r'), nodeFields('Reshape', ['r', 'back'], 'h')], 'h', [
    int64Fields('shape', [-1, IMAGE_SIDE * IMAGE_SIDE, ...counted(count, () => 1)]),
    int64Fields('back', [-1, 1, IMAGE_SIDE, IMAGE_SIDE]),
  ]);

const largeWeight = (dims: readonly number[]) =>
  classifier([...added('w')], 'h', [{ name: 'w', dims, dataType: FLOAT, rawData: new Uint8Array(4) }]);

const weightOf = (value: number) =>
  classifier([nodeFields('Conv', ['x', 'conv.weight'], 'h', [ints('pads', [1, 1, 1, 1])])], 'h', [
    floats('conv.weight', [1, 1, 3, 3], (i) => (i === 4 ? value : 0.1)),
  ]);

/** A function of the model that calls one before it, twice, as deep; 2^depth nodes when they are written out. */
function functionTree(depth: number) {
  const domain = 'own';
  const call = (i: number, from: string, to: string): OnnxFields => ({
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
        nodeFields('Flatten', ['h'], 'flat', [int('axis', 1)]),
        nodeFields('Gemm', ['flat', 'fc.weight'], 'logits'),
      ],
      input: [valueInfo('x', FLOAT, ['N', 1, IMAGE_SIDE, IMAGE_SIDE])],
      output: [valueInfo('logits', FLOAT)],
      initializer: [floats('fc.weight', [IMAGE_SIDE * IMAGE_SIDE, 2], (i) => Math.sin(i))],
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
