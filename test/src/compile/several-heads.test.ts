import { describe, expect, it } from 'vitest';
import type { TestNode } from '../../../compiler/src/onnx/models.test.helper.js';
import { compileBytes, expectAsFile, weights } from './compile-helpers.js';
import { fc, network } from './head-networks.js';

describe('a model of several heads', () => {
  const auxiliary: TestNode[] = [
    { op: 'GlobalAveragePool', inputs: ['a'], outputs: ['ap'] },
    { op: 'Flatten', inputs: ['ap'], outputs: ['af'] },
    { op: 'Gemm', inputs: ['af', 'wa'], outputs: ['aux'] },
  ];
  const second = { wa: weights(5, 3), w2: weights(5, 3) };

  it('is read to its first output, and tells the others', async () => {
    const report = await expectAsFile(network([fc, ...auxiliary], ['l', 'aux'], second), { all: ['all'] });
    expect([report.model.features, report.model.otherOutputs]).toEqual(['f', ['aux']]);
    const other = await compileBytes(network([fc, ...auxiliary], ['l', 'aux'], second), { features: 'af' });
    expect(other.report.model.features).toBe('af');
  });

  it('may have two on the same features', async () => {
    const tail: TestNode[] = [fc, { op: 'Gemm', inputs: ['f', 'w2'], outputs: ['m'] }];
    const report = await expectAsFile(network(tail, ['l', 'm'], second), { none: ['none'], all: ['all'] });
    expect([report.head?.name, report.model.otherOutputs]).toEqual(['l', ['m']]);
  });

  it('may hand out its features as well', async () => {
    const report = await expectAsFile(network([fc], ['l', 'f']), { none: ['none'] });
    expect([report.head?.name, report.model.otherOutputs]).toEqual(['l', []]);
    const { report: first } = await compileBytes(network([fc], ['f', 'l']), { head: 'keep' });
    expect([first.head?.name, first.model.features]).toEqual(['l', 'f']);
  });

  /** `count` convolutions from one tensor to another. */
  const deeper = (from: string, to: string, count: number): TestNode[] =>
    Array.from({ length: count }, (_, i) => ({
      op: 'Conv',
      inputs: [i === 0 ? from : `${to}${i}`, 'wd'],
      outputs: [i + 1 === count ? to : `${to}${i + 1}`],
    }));
  const headOf = (from: string, to: string, wf = 'wf'): TestNode[] => [
    { op: 'GlobalAveragePool', inputs: [from], outputs: [`${to}e`] },
    { op: 'Flatten', inputs: [`${to}e`], outputs: [`${to}f`] },
    { op: 'Gemm', inputs: [`${to}f`, wf], outputs: [to] },
  ];
  const wd = weights(5, 5, 1, 1);

  it.each([
    ['auxiliary ones that are listed first, as of GoogLeNet in training mode', 0, 2, 9, 'main'],
    ['one that is listed first and has a layer less', 0, 0, 1, 'first'],
    ['one that is listed first and has layers of its own', 4, 2, 5, 'first'],
  ])('is told apart from %s', async (_, shared, own, more, expected) => {
    const tail: TestNode[] = [
      ...(shared > 0 ? deeper('c', 's', shared) : [{ op: 'Identity', inputs: ['c'], outputs: ['s'] }]),
      ...(own > 0 ? deeper('s', 'a1', own) : [{ op: 'Identity', inputs: ['s'], outputs: ['a1'] }]),
      ...headOf('a1', 'first', 'w2'),
      ...deeper('s', 'm1', more),
      ...headOf('m1', 'main'),
    ];
    const file = network(tail, ['first', 'main'], { wd, w2: weights(5, 3) });
    const { report } = await compileBytes(file, { head: 'keep' });
    const left = expected === 'main' ? 'first' : 'main';
    expect([report.head?.name, report.model.otherOutputs]).toEqual([expected, [left]]);
    // And by the name of what is to be adapted.
    const { report: chosen } = await compileBytes(file, { head: 'keep', features: `${left}f` });
    expect([chosen.head?.name, chosen.model.otherOutputs]).toEqual([left, []]);
  });

  it('is told apart beside what is not read', async () => {
    const tail: TestNode[] = [
      { op: 'Gelu', domain: 'com.microsoft', inputs: ['f'], outputs: ['g'] },
      { ...fc, inputs: ['g', 'wf', 'bf'] },
      ...auxiliary,
    ];
    const { report } = await compileBytes(network(tail, ['l', 'aux'], second), { head: 'keep' });
    expect([report.head?.name, report.model.features, report.model.otherOutputs]).toEqual(['l', 'g', ['aux']]);
  });
});
