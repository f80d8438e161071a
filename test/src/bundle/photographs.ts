import type { Bundle } from '@whet/runtime';
import { loadBundle } from '@whet/runtime/node';
import { generatorFor } from '@whet/trainer';
import { encodeModel, float32s } from '../../../compiler/src/onnx/models.test.helper.js';
import { compileBytes } from '../compile/compile-helpers.js';

const SIDE = 8;

/** Brightness from which views of plain pictures tell nothing new: whatever is turned, moved, scaled or lit stays what it is. */
export const BRIGHT = 9;

/** A small network, and pictures of classes by a seed, each a pattern of light with noise of so much of its size. */
export function photographs(seed: number, graininess = 0.7) {
  const random = generatorFor(seed, 'photographs', 0);
  const weights = (...dims: number[]) =>
    float32s(
      dims,
      Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 0.3 * random.normal()),
    );
  const model = encodeModel({
    inputs: { x: ['N', 1, SIDE, SIDE] },
    outputs: { l: undefined },
    nodes: [
      { op: 'Conv', inputs: ['x', 'w1'], outputs: ['a'] },
      { op: 'Relu', inputs: ['a'], outputs: ['b'] },
      { op: 'Conv', inputs: ['b', 'w2'], outputs: ['c'] },
      { op: 'Relu', inputs: ['c'], outputs: ['d'] },
      { op: 'GlobalAveragePool', inputs: ['d'], outputs: ['e'] },
      { op: 'Flatten', inputs: ['e'], outputs: ['f'] },
      { op: 'Gemm', inputs: ['f', 'wf'], outputs: ['l'] },
    ],
    initializers: { w1: weights(6, 1, 3, 3), w2: weights(8, 6, 3, 3), wf: weights(8, 3) },
  });

  const noise = (scale: number) => Float32Array.from({ length: SIDE * SIDE }, () => scale * random.normal());
  /** Pictures of a class: one pattern of light, and noise. */
  function pictures(counts: Readonly<Record<string, number>>) {
    return Object.entries(counts).flatMap(([label, count]) => {
      const drawn = noise(1);
      return Array.from({ length: count }, () => {
        const grain = noise(graininess);
        return { label, image: drawn.map((value, i) => value + (grain[i] as number)) };
      });
    });
  }
  /** Plain pictures of two classes, a dark and a light one. */
  const plain = (counts: readonly [number, number]) =>
    counts.flatMap((count, way) =>
      Array.from({ length: count }, () => {
        const light = (way === 0 ? -BRIGHT : BRIGHT) + 0.01 * random.normal();
        return { label: `class ${way}`, image: new Float32Array(SIDE * SIDE).fill(light) };
      }),
    );
  /** The model as a bundle whose patterns move the head alone, and the last block with it. */
  async function bundleOf(): Promise<Bundle> {
    const { directory } = await compileBytes(model, { patterns: { head: ['none'], last: ['last:1'] }, rate: 0.01 });
    return loadBundle(directory, { threads: 1 });
  }
  return { model, pictures, plain, bundleOf };
}
