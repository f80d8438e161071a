import { describe, expect, it } from 'vitest';
import { cutOnnx } from './cut.js';
import { splitWeights } from './external-weights.js';
import { encodeModel, float32s, refusal, relu, type TestModel } from './models.test.helper.js';
import { decodeModel } from './proto.js';
import { readOnnx } from './reading/read.js';
import { onnxMessage } from './schema.js';

const model: TestModel = { nodes: [relu], inputs: { x: ['N', 2] } };

/** A model with fields of its graph, or of itself, in place of what the encoder writes. */
function withFields(graph: object | undefined, more: object = {}): Uint8Array {
  const message = onnxMessage('ModelProto');
  const raw = message.toObject(message.decode(encodeModel(model)), { longs: Number, arrays: true });
  return message
    .encode(message.fromObject({ ...raw, ...more, graph: graph && { ...raw['graph'], ...graph } }))
    .finish();
}

const external = (...externalData: object[]) => ({ name: 'w', dims: [2], dataType: 1, dataLocation: 1, externalData });

const node = (fields: object) =>
  withFields({ node: [{ opType: 'Relu', input: ['x'], output: ['y'], name: 'relu', ...fields }] });

describe('a file says what is wrong with it', () => {
  it.each<[string, Uint8Array]>([
    ['not an ONNX model: the file of 15 bytes holds no graph', withFields(undefined, { producerName: '' })],
    ['not an ONNX model: the file does not say its IR version', withFields({}, { irVersion: 0 })],
    ['the model imports no version of the operator set ai.onnx', withFields({}, { opsetImport: [] })],
    ['the model has sparse initializers: not supported', withFields({ sparseInitializer: [Uint8Array.of(1)] })],
    ['node "y" (number 0) names no operator', node({ opType: '', name: '' })],
    ['Relu "relu": an attribute has no name', node({ attribute: [{ type: 2, i: 1 }] })],
    [
      'Relu "relu": attribute "a" stands twice',
      node({
        attribute: [
          { name: 'a', type: 2, i: 1 },
          { name: 'a', type: 2, i: 2 },
        ],
      }),
    ],
    ['Relu "relu": attribute "a" has no tensor', node({ attribute: [{ name: 'a', type: 4 }] })],
    [
      'Relu "relu": its inner graph cannot be decoded',
      node({ attribute: [{ name: 'a', type: 5, g: Uint8Array.of(0x0a, 9) }] }),
    ],
    ['graph input 0 has no name', withFields({ input: [{}] })],
    ['initializer 0 has no name', withFields({ initializer: [{ dims: [1], dataType: 1, floatData: [1] }] })],
    [
      'tensor "w": tensors in segments are not supported',
      withFields({ initializer: [{ name: 'w', segment: Uint8Array.of(1) }] }),
    ],
    [
      'tensor "w": its values are said to be in another file, but not in which',
      withFields({ initializer: [external()] }),
    ],
    ['not an ONNX model, or a truncated one (20 bytes): ', encodeModel(model).subarray(0, 20)],
  ])('%s', (message, file) => {
    const said = refusal(() => decodeModel(file));
    expect(said.replace(/file of \d+ bytes/, 'file of 15 bytes')).toContain(message);
  });

  it.each<[string, Uint8Array]>([
    [
      'two initializers are named "w"',
      withFields({ initializer: ['w', 'w'].map((name) => ({ name, ...float32s([1], [1]) })) }),
    ],
    ['two graph inputs are named "x"', withFields({ input: [{ name: 'x' }, { name: 'x' }] })],
    ['the model uses operator set 5; 7 to', encodeModel({ ...model, opset: 5 })],
  ])('%s', (message, file) => {
    expect(refusal(() => readOnnx(file))).toContain(message);
  });

  it('of a tensor that it has not, and of values beside it', () => {
    expect(refusal(() => readOnnx(encodeModel(model), { outputs: ['z'] }))).toContain('the model makes no tensor "z"');
    const external = { dims: [2], dataType: 1, dataLocation: 1, externalData: [{ key: 'location', value: 'w.bin' }] };
    const outside = encodeModel({
      ...model,
      nodes: [{ op: 'Add', inputs: ['x', 'w'] }],
      initializers: { w: external },
    });
    const read = (reader: () => Uint8Array) => refusal(() => readOnnx(outside, { external: reader }));
    expect(read(() => new Uint8Array(3))).toContain('tensor "w": expected 8 bytes of "w.bin", got 3');
    const gone = () => {
      throw new Error('no such file');
    };
    expect(read(gone)).toContain('tensor "w": external data in "w.bin": no such file');
  });
});

describe('a file that is cut says what is wrong with it', () => {
  const input = { tensor: 'x', name: 'images', shape: ['N', 2] };
  const empty = withFields(undefined);

  it('where it holds no graph, or a mean of several tensors is asked for', () => {
    const output = { tensors: ['y'], name: 'features', shape: ['N', 2] };
    expect(refusal(() => cutOnnx(empty, { input, output }))).toBe('not an ONNX model: the file holds no graph');
    expect(refusal(() => splitWeights(empty))).toBe('not an ONNX model: the file holds no graph');
  });

  it('where its values are in another file, or sparse', () => {
    const within = (attribute: object) => node({ attribute: [{ name: 'a', ...attribute }] });
    const elsewhere = within({ type: 4, t: { ...external({ key: 'location', value: 'w.bin' }), name: 'inner' } });
    const output = { tensors: ['y'], name: 'features', shape: ['N', 2] };
    expect(refusal(() => cutOnnx(elsewhere, { input, output }))).toBe(
      'Relu "relu": tensor "inner" inside it keeps its values in another file: not supported',
    );
    expect(refusal(() => splitWeights(elsewhere))).toBe('tensor "inner": expected its values in the model, got a file');
    const graphs = onnxMessage('GraphProto');
    const sparse = graphs.encode(graphs.fromObject({ sparseInitializer: [Uint8Array.of(1)] })).finish();
    expect(refusal(() => splitWeights(within({ type: 5, g: sparse })))).toBe(
      'Relu "relu": sparse initializers: not supported',
    );
  });
});
