import { loadBundle } from '@whet/runtime/node';
import { describe, expect, it } from 'vitest';
import { float32s, type TestNode } from '../../../compiler/src/onnx/models.test.helper.js';
import { compileBytes, expectAsFile, fixture, gaussian, runFile, weights } from './compile-helpers.js';
import { argmax, fc, network, quantized, quantizer, softmaxed } from './head-networks.js';

describe('a kept head', () => {
  it('leaves the rounding of quantized logits out', async () => {
    const { head } = await expectAsFile(await fixture('quantized-logits-keep-head'), { none: ['none'] }, 0.05, 0.2);
    expect(head).toMatchObject({ classes: 4 });
  });

  it('is read of a model that a tool quantized all through', async () => {
    const int8s = { dims: [5, 3], dataType: 3, int32Data: Array.from({ length: 15 }, (_, i) => ((i * 7) % 31) - 15) };
    const tail: TestNode[] = [
      ...quantized('f', 'fd'),
      { op: 'DequantizeLinear', inputs: ['w8', 's', 'z'], outputs: ['wd'] },
      { op: 'DequantizeLinear', inputs: ['b32', 'sb'], outputs: ['bd'] },
      { op: 'Gemm', inputs: ['fd', 'wd', 'bd'], outputs: ['l'] },
      ...quantized('l', 'ld'),
    ];
    const b32 = { dims: [3], dataType: 6, int32Data: [40, -30, 10] };
    const file = network(tail, ['ld'], { ...quantizer, w8: int8s, b32, sb: float32s([], [0.0025]) });
    const { head } = await expectAsFile(file, { none: ['none'] }, 0.05);
    expect([...(head?.bias ?? [])].map((value) => value.toFixed(4))).toEqual(['0.1000', '-0.0750', '0.0250']);
    expect(head?.weight[0]).toBeCloseTo(-0.75, 6);
  });

  it.each<[string, TestNode[]]>([
    [
      'QGemm',
      [
        {
          op: 'QGemm',
          domain: 'com.microsoft',
          inputs: ['q', 's', 'z', 'w8', 'sw', 'zw', 'b32', 's', 'z'],
          outputs: ['o'],
        },
        { op: 'DequantizeLinear', inputs: ['o', 's', 'z'], outputs: ['l'] },
      ],
    ],
    [
      'QLinearMatMul and QLinearAdd',
      [
        { op: 'QLinearMatMul', inputs: ['q', 's', 'z', 'w8', 'one', 'z', 's', 'z'], outputs: ['o'] },
        {
          op: 'QLinearAdd',
          domain: 'com.microsoft',
          inputs: ['o', 's', 'z', 'b8', 's', 'z', 's', 'z'],
          outputs: ['r'],
        },
        { op: 'DequantizeLinear', inputs: ['r', 's', 'z'], outputs: ['l'] },
      ],
    ],
  ])('is read of integers alone: %s', async (_, layers) => {
    const int8s = {
      dims: [5, 3],
      dataType: 3,
      int32Data: Array.from({ length: 15 }, (_unused, i) => ((i * 7) % 31) - 15),
    };
    const tail: TestNode[] = [{ op: 'QuantizeLinear', inputs: ['f', 's', 'z'], outputs: ['q'] }, ...layers];
    const file = network(tail, ['l'], {
      ...quantizer,
      w8: int8s,
      one: float32s([], [0.03]),
      sw: float32s([3], [0.05, 0.04, 0.03]),
      zw: { dims: [3], dataType: 3, int32Data: [0, 0, 0] },
      b32: { dims: [3], dataType: 6, int32Data: [400, -300, 100] },
      b8: { dims: [3], dataType: 3, int32Data: [20, -10, 5] },
    });
    const { head } = await expectAsFile(file, { none: ['none'] }, 0.05);
    expect(head?.classes).toBe(3);
  });

  it('may be a convolution in the layout of another tool', async () => {
    const tail: TestNode[] = [
      { op: 'Conv', inputs: ['e', 'wc', 'bf'], outputs: ['l4'] },
      { op: 'Transpose', inputs: ['l4'], outputs: ['lt'], attributes: { perm: [0, 2, 3, 1] } },
      { op: 'Flatten', inputs: ['lt'], outputs: ['l'] },
    ];
    const report = await expectAsFile(network(tail, ['l'], { wc: weights(3, 5, 1, 1) }), { all: ['all'] });
    expect(report.head).toMatchObject({ name: 'l4', classes: 3 });
  });

  const conv8 = (from: string): TestNode[] => [
    { op: 'QuantizeLinear', inputs: [from, 's', 'z'], outputs: ['q'] },
    { op: 'QLinearConv', inputs: ['q', 's', 'z', 'w8', 'sw', 'zw', 's', 'z', 'b32'], outputs: ['o'] },
    { op: 'DequantizeLinear', inputs: ['o', 's', 'z'], outputs: ['l4'] },
  ];
  const convWeights = {
    ...quantizer,
    w8: { dims: [3, 5, 1, 1], dataType: 3, int32Data: Array.from({ length: 15 }, (_, i) => ((i * 7) % 31) - 15) },
    sw: float32s([3], [0.05, 0.04, 0.03]),
    zw: { dims: [3], dataType: 3, int32Data: [0, 0, 0] },
    b32: { dims: [3], dataType: 6, int32Data: [40, -30, 10] },
    sb: float32s([3], [0.0025, 0.002, 0.0015]),
  };
  const flattened: TestNode = { op: 'Flatten', inputs: ['l4'], outputs: ['l'] };

  it.each<[string, TestNode[]]>([
    ['QLinearConv', [...conv8('e'), flattened]],
    [
      'Conv of what is dequantized',
      [
        ...quantized('e', 'ed'),
        { op: 'DequantizeLinear', inputs: ['w8', 'sw', 'zw'], outputs: ['wd'], attributes: { axis: 0 } },
        { op: 'DequantizeLinear', inputs: ['b32', 'sb'], outputs: ['bd'], attributes: { axis: 0 } },
        { op: 'Conv', inputs: ['ed', 'wd', 'bd'], outputs: ['l4'] },
        flattened,
      ],
    ],
  ])('is read of a quantized convolution of 1x1: %s', async (_, tail) => {
    const { head, model } = await expectAsFile(network(tail, ['l'], convWeights), { none: ['none'] }, 0.05);
    expect([head?.classes, model.layout.length, head?.bias[0]?.toFixed(4)]).toEqual([3, 5, '0.1000']);
  });

  const map8 = conv8('c').slice(0, 2);
  const pooled8 = (from: string, op: string, more: Partial<TestNode> = {}): TestNode[] => [
    { op, domain: 'com.microsoft', inputs: [from, 's', 'z', 's', 'z'], outputs: ['p8'], ...more },
    { op: 'Flatten', inputs: ['p8'], outputs: ['f8'] },
  ];
  const floats8: TestNode = { op: 'DequantizeLinear', inputs: ['f8', 's', 'z'], outputs: ['l'] };
  const convolved: TestNode = { op: 'Conv', inputs: ['c', 'wc', 'bf'], outputs: ['m'] };

  it.each<[string, TestNode[]]>([
    ['an average of all', [...map8, ...pooled8('o', 'QLinearGlobalAveragePool'), floats8]],
    [
      'a window of all',
      [...map8, ...pooled8('o', 'QLinearAveragePool', { attributes: { kernel_shape: [4, 4] } }), floats8],
    ],
    [
      'what moves integers',
      [
        ...conv8('e').slice(0, 2),
        { op: 'Transpose', inputs: ['o'], outputs: ['t'], attributes: { perm: [0, 2, 3, 1] } },
        { op: 'Flatten', inputs: ['t'], outputs: ['f8'] },
        floats8,
      ],
    ],
    ['floats: an average of all', [convolved, { op: 'GlobalAveragePool', inputs: ['m'], outputs: ['l4'] }, flattened]],
    [
      'floats: a mean of both sides',
      [convolved, { op: 'ReduceMean', inputs: ['m'], outputs: ['l'], attributes: { axes: [2, 3], keepdims: 0 } }],
    ],
    [
      'floats: a window of all',
      [
        convolved,
        { op: 'AveragePool', inputs: ['m'], outputs: ['l4'], attributes: { kernel_shape: [4, 4] } },
        flattened,
      ],
    ],
  ])('is read of a convolution of 1x1 before %s', async (name, tail) => {
    const file = network(tail, ['l'], { ...convWeights, wc: weights(3, 5, 1, 1) });
    const { head, model } = await expectAsFile(file, { none: ['none'] }, name.startsWith('floats') ? 1e-5 : 0.05);
    expect([head?.classes, model.layout.length]).toEqual([3, 5]);
  });

  it('may end in a softmax of integers', async () => {
    const tail: TestNode[] = [
      ...conv8('e').slice(0, 2),
      { op: 'Flatten', inputs: ['o'], outputs: ['f8'] },
      {
        op: 'QLinearSoftmax',
        domain: 'com.microsoft',
        inputs: ['f8', 's', 'z', 'sp', 'zp'],
        outputs: ['p8'],
        attributes: { axis: 1, opset: 13 },
      },
      { op: 'DequantizeLinear', inputs: ['p8', 'sp', 'zp'], outputs: ['p'] },
    ];
    const probabilities = { sp: float32s([], [1 / 256]), zp: { dims: [], dataType: 3, int32Data: [-128] } };
    const { report } = await compileBytes(network(tail, ['p'], { ...convWeights, ...probabilities }), { head: 'keep' });
    expect(report.head?.bias[0]).toBeCloseTo(0.1, 6);
  });

  it.each<[string, TestNode[], RegExp]>([
    [
      'a Relu',
      [
        convolved,
        { op: 'Relu', inputs: ['m'], outputs: ['r'] },
        { op: 'GlobalAveragePool', inputs: ['r'], outputs: ['l4'] },
        flattened,
      ],
      /got Conv "m" of a map with Relu "r" behind it; take head "cosine"/,
    ],
    [
      'a Relu that became a zero point',
      [
        { op: 'QuantizeLinear', inputs: ['c', 's', 'z'], outputs: ['q'] },
        { op: 'QLinearConv', inputs: ['q', 's', 'z', 'w8', 'sw', 'zw', 's', 'zp', 'b32'], outputs: ['o'] },
        ...pooled8('o', 'QLinearGlobalAveragePool', { inputs: ['o', 's', 'zp', 's', 'z'] }),
        floats8,
      ],
      /got Conv "o\/y" of a map with Clip ".*" behind it; take head "cosine"/,
    ],
    [
      'a window of a part',
      [
        convolved,
        { op: 'AveragePool', inputs: ['m'], outputs: ['l4'], attributes: { kernel_shape: [3, 3], strides: [2, 2] } },
        flattened,
      ],
      /got Conv "m" of a map with AveragePool "l4" behind it; take head "cosine"/,
    ],
  ])('is no convolution of 1x1 before %s', async (_, tail, message) => {
    const zp = { dims: [], dataType: 3, int32Data: [-128] };
    const file = network(tail, ['l'], { ...convWeights, wc: weights(3, 5, 1, 1), zp });
    await expect(compileBytes(file, { head: 'keep' })).rejects.toThrow(message);
  });

  it('is none of a quantized convolution that makes a map of classes', async () => {
    await expect(compileBytes(network(conv8('c'), ['l4'], convWeights))).rejects.toThrow(
      'ends in no Gemm, MatMul or 1x1 Conv with constant weights that makes one row an image; name the features tensor',
    );
  });

  it.each<[string, string[]]>([
    ['behind it', ['l', 'label']],
    ['before it', ['label', 'l']],
  ])('may have its largest class as an output %s', async (_, outputs) => {
    const file = network([fc, argmax], outputs);
    const { head, model } = await compileBytes(file, { head: 'keep' }).then(({ report }) => report);
    expect([head?.name, head?.classes, model.otherOutputs]).toEqual(['l', 3, []]);
  });

  it('may have logits, probabilities and the largest class as outputs', async () => {
    await expectAsFile(network([fc, softmaxed, argmax], ['l', 'p', 'label']), { none: ['none'], all: ['all'] });
  });

  it('may make nothing but the largest class', async () => {
    const { report } = await compileBytes(network([fc, argmax], ['label']), { head: 'keep' });
    expect(report.head).toMatchObject({ name: 'l', classes: 3 });
  });

  it.each<[string, TestNode[]]>([
    ['TopK', [{ op: 'TopK', inputs: ['l', 'k'], outputs: ['y', 'label'], attributes: { axis: 1 } }]],
    [
      'TopK of probabilities, of which one is left',
      [
        softmaxed,
        { op: 'TopK', inputs: ['p', 'k'], outputs: ['y', 'all'], attributes: { axis: 1 } },
        { op: 'Identity', inputs: ['all'], outputs: ['label'] },
      ],
    ],
  ])('may make nothing but the largest classes: %s', async (_, tail) => {
    const k = { dims: [1], dataType: 7, int64Data: [2] };
    const same = { w1: weights(5, 1, 3, 3), wf: weights(5, 3), bf: weights(3) };
    const [file, whole] = [['y', 'label'], ['l']].map((outputs) => network([fc, ...tail], outputs, { k, ...same }));
    const { directory, report } = await compileBytes(file as Uint8Array, { head: 'keep' });
    expect([report.model.opaque, report.model.otherOutputs, report.head?.classes]).toEqual([false, [], 3]);
    const bundle = await loadBundle(directory, { threads: 1 });
    const images = [gaussian(36), gaussian(36, 3)];
    const expected = (await runFile(whole as Uint8Array, images)).map((logits) => {
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
      return logits.map((logit) => Math.exp(logit) / total);
    });
    const found = await bundle.predict(bundle.initialProfile(), images);
    for (const [n, { probabilities }] of found.entries()) {
      for (const [c, p] of Object.values(probabilities).entries()) expect(p).toBeCloseTo(expected[n]?.[c] as number, 5);
    }
    await bundle.release();
  });

  it.each<[string, TestNode[], string]>([
    [
      'an operator that is not read',
      [
        { op: 'QuantizeLinear', inputs: ['f', 's', 'z'], outputs: ['q'] },
        { op: 'QLinearMatMul', inputs: ['q', 's', 'z', 'w8', 's', 'z', 's', 'z'], outputs: ['o'] },
        {
          op: 'QLinearReduceMean',
          domain: 'com.microsoft',
          inputs: ['o', 's', 'z', 's', 'z'],
          outputs: ['l'],
          attributes: { axes: [0], keepdims: 1 },
        },
      ],
      'unsupported operator QLinearReduceMean (com.microsoft): "l"',
    ],
    [
      'a dynamic quantization',
      [
        { op: 'DynamicQuantizeLinear', inputs: ['f'], outputs: ['q', 'qs', 'qz'] },
        { op: 'MatMulInteger', inputs: ['q', 'w8', 'qz'], outputs: ['l'] },
      ],
      'unsupported operator DynamicQuantizeLinear (ai.onnx): "q"; unsupported operator MatMulInteger (ai.onnx): "l"',
    ],
  ])('is refused alone where it has %s', async (_, tail, reason) => {
    const int8s = { dims: [5, 3], dataType: 3, int32Data: Array.from({ length: 15 }, (_unused, i) => i) };
    const file = network(tail, ['l'], { ...quantizer, w8: int8s });
    const { report } = await compileBytes(file);
    const { features } = report.model;
    await expect(compileBytes(file, { head: 'keep' })).rejects.toThrow(
      `head "keep": what follows the features "${features}" cannot be read: ${reason}; take head "cosine"`,
    );
  });

  it('is two classes of one number for a sigmoid', async () => {
    const tail: TestNode[] = [
      { op: 'Gemm', inputs: ['f', 'w', 'b'], outputs: ['l'] },
      { op: 'Sigmoid', inputs: ['l'], outputs: ['p'] },
    ];
    const file = network(tail, ['p'], { w: weights(5, 1), b: weights(1) });
    const { directory } = await compileBytes(file, { head: 'keep', labels: ['no', 'yes'] });
    const bundle = await loadBundle(directory, { threads: 1 });
    const images = [gaussian(36), gaussian(36, 3)];
    const expected = (await runFile(file, images)).flat();
    const found = await bundle.predict(bundle.initialProfile(), images);
    for (const [n, { probabilities }] of found.entries()) {
      expect(Object.keys(probabilities)).toEqual(['no', 'yes']);
      expect(probabilities['yes']).toBeCloseTo(expected[n] as number, 5);
      expect(probabilities['no']).toBeCloseTo(1 - (expected[n] as number), 5);
    }
    await bundle.release();
  });

  it.each<[string, readonly TestNode[], string[], RegExp]>([
    [
      'classes that do not exclude each other',
      [fc, { op: 'Sigmoid', inputs: ['l'], outputs: ['p'] }],
      ['p'],
      /Sigmoid "p" after Gemm "l": 3 classes that do not exclude each other/,
    ],
    [
      'two heads that are averaged',
      [fc, { op: 'Gemm', inputs: ['f', 'w2'], outputs: ['m'] }, { op: 'Add', inputs: ['l', 'm'], outputs: ['y'] }],
      ['y'],
      /"f", which Gemm "l" and Gemm "m" read/,
    ],
    [
      'two heads of two features',
      [
        fc,
        { op: 'Tanh', inputs: ['f'], outputs: ['g'] },
        { op: 'Gemm', inputs: ['g', 'w2'], outputs: ['m'] },
        { op: 'Add', inputs: ['l', 'm'], outputs: ['y'] },
      ],
      ['y'],
      /joins Gemm "m" and "l": two heads|joins Gemm "l" and "m": two heads|which Gemm "l" and Tanh "g" read/,
    ],
  ])('is refused of %s', async (_, tail, outputs, message) => {
    const file = network(tail, outputs, { w2: weights(5, 3) });
    await expect(compileBytes(file, { head: 'keep' })).rejects.toThrow(message);
    const { report } = await compileBytes(file);
    expect(report.model.joinedLayers).toEqual(outputs[0] === 'y' ? ['l', 'm'] : []);
  });
});
