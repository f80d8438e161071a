import * as ort from 'onnxruntime-node';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeModel, float32s } from '../../../compiler/src/onnx/models.test.helper.js';
import { checkMovingPart, frozenPart, movingPart } from '../../../trainer/src/compile/frozen-part.js';
import { runGuarded } from '../../../trainer/src/compile/read/guarded-run.js';
import type { ModelParameter } from '../../../trainer/src/compile/read/model-parameters.js';
import { runOne } from '../../../trainer/src/compile/read/probe-tensors.js';
import { readModel } from '../../../trainer/src/compile/read/read-model.js';
import { gemm, smallClassifier } from './small-classifier.js';

describe('the process that runs a model', () => {
  const model = encodeModel({
    nodes: [{ op: 'Add', inputs: ['x', 'w'] }],
    inputs: { x: ['N', 2] },
    initializers: { w: float32s([2], [1, 2]) },
  });
  const feeds = { x: new ort.Tensor('float32', [1, 2], [1, 2]) };
  const { execPath } = process;
  afterEach(() => {
    process.execPath = execPath;
  });

  it.each([
    ['/nowhere/node', 'its process cannot be started: spawn /nowhere/node ENOENT'],
    ['/bin/false', 'it ends the process that runs it (code 1)'],
  ])('is told of where it is %s', async (program, message) => {
    // Some take processes that wait for work, also those that other tests left; the others start their own.
    process.execPath = program;
    const runs = await Promise.allSettled(Array.from({ length: 8 }, () => runGuarded(model, [feeds])));
    expect(runs.map((run) => run.status === 'rejected' && run.reason.message)).toContain(message);
    process.execPath = execPath;
    const [outputs] = await runGuarded(model, [feeds]);
    expect(Array.from(outputs?.['y']?.data as Float32Array)).toEqual([2, 4]);
  });

  it('says what it cannot run of the features', async () => {
    await expect(runOne(model, { x: new ort.Tensor('float32', [1], [1, 1, 1]) })).rejects.toThrow(
      'onnxruntime does not run the features: ',
    );
  });
});

it('features that are computed otherwise than in the file are refused', async () => {
  const model = await readModel(smallClassifier(gemm), {});
  const moving = model.parameters.filter(({ name }) => name === 'a.weight');
  const part = movingPart(model, model.featureGraph(moving), new Set(['a.weight']));
  await checkMovingPart(model, part, undefined, moving, undefined);
  const [first] = moving as [ModelParameter];
  const { constant } = first.value;
  const changed = {
    ...first,
    value: { ...first.value, constant: { ...constant, data: constant?.data.map((w) => w + 1) } },
  };
  await expect(checkMovingPart(model, part, undefined, [changed as ModelParameter], undefined)).rejects.toThrow(
    'the features made of "x" by the nodes that were read are not those of the file',
  );
});

it('a frozen part that makes other shapes than were measured is refused', async () => {
  const model = await readModel(smallClassifier(gemm), {});
  const { frozen } = movingPart(model, model.featureGraph([]), new Set());
  await expect(frozenPart(model, frozen, [99], undefined)).rejects.toThrow(
    /the frozen part up to \S+: expected float32 \[2,99\] for 2 images, onnxruntime makes float32 \[2, 4\]/,
  );
});
