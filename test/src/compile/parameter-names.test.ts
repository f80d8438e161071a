import { loadBundle } from '@whet/runtime/node';
import { describe, expect, it } from 'vitest';
import { encodeModel, type TestNode } from '../../../compiler/src/onnx/models.test.helper.js';
import { compileBytes, expectAsFile, fixture, weights } from './compile-helpers.js';

interface Names {
  /** Weights of the two layers below the head. */
  readonly first: string;
  readonly second: string;
  /** What the first layer makes, and an operator that is not read between them. */
  readonly inner?: string;
  readonly opaque?: boolean;
  readonly input?: string;
}

function network({ first, second, inner = 'a', opaque, input = 'x' }: Names): Uint8Array {
  const between: TestNode[] = opaque
    ? [{ op: 'Gelu', domain: 'com.microsoft', inputs: [inner], outputs: ['g'] }]
    : [{ op: 'Relu', inputs: [inner], outputs: ['g'] }];
  return encodeModel({
    inputs: { [input]: ['N', 1, 6, 6] },
    outputs: { y: ['N', 3] },
    domains: ['com.microsoft'],
    nodes: [
      { op: 'Conv', inputs: [input, first], outputs: [inner] },
      ...between,
      { op: 'Conv', inputs: ['g', second], outputs: ['c'] },
      { op: 'GlobalAveragePool', inputs: ['c'], outputs: ['e'] },
      { op: 'Flatten', inputs: ['e'], outputs: ['f'] },
      { op: 'Gemm', inputs: ['f', 'wf'], outputs: ['y'] },
    ],
    initializers: { [first]: weights(4, 1, 3, 3), [second]: weights(5, 4, 2, 2), wf: weights(5, 3) },
  });
}

describe('names of a file that graphs of a bundle use themselves', () => {
  it('may be those of parameters that nobody moves', async () => {
    const { report } = await compileBytes(await fixture('parameter-name'), { patterns: { head: ['none'] } });
    expect(report.model.parameters.map(({ tensor, name }) => `${tensor} ${name}`)).toEqual([
      'head.weight model/head.weight',
      'head.bias model/head.bias',
      'w2 w2',
      'b2 b2',
    ]);
  });

  it('may be those of parameters that move, which are chosen by the names of the file', async () => {
    const patterns = { one: ['head.weight'], glob: ['head.*'], all: ['all'] };
    const { patterns: found } = await expectAsFile(await fixture('parameter-name'), patterns);
    expect(found.map(({ moving }) => moving.length)).toEqual([1, 2, 4]);
  });

  it.each<Names>([
    { first: 'features', second: 'labels', inner: 'images' },
    { first: 'rate', second: 'loss', inner: 'head.weight', input: 'head.bias' },
    { first: '__proto__', second: 'constructor', inner: 'rate', input: 'features' },
    { first: 'a@next', second: 'a', inner: 'probabilities' },
    { first: 'images', second: '__metadata__', inner: 'labels' },
    { first: 'kept.weight', second: 'model/kept.weight', inner: 'loss' },
    { first: 'head.weight', second: 'model/head.weight', inner: 'c.mean', input: 'rate' },
  ])('may be any: $first, $second, $inner', async (names) => {
    const patterns = { last: ['last:1'], all: ['all'] };
    const report = await expectAsFile(network(names), patterns);
    expect(report.patterns[1]?.moving.map(({ tensor }) => tensor)).toEqual([names.first, names.second]);
    expect(report.fullCost).toBeDefined();
  });

  it.each<Names>([
    { first: 'features', second: 'labels', inner: 'images' },
    { first: 'head.weight', second: '__proto__', inner: 'rate', input: 'features' },
  ])('may be any beside what is not read: $first, $second, $inner', async (names) => {
    const report = await expectAsFile(network({ ...names, opaque: true }), { none: ['none'], last: ['last:1'] });
    expect(report.patterns[1]?.moving.map(({ tensor }) => tensor)).toEqual([names.second]);
    const directory = (await compileBytes(network({ ...names, opaque: true }), { patterns: { all: [names.second] } }))
      .directory;
    await (await loadBundle(directory)).release();
  });
});
