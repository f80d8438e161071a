import type { Dim, Shape, Tensor } from '../tensor.js';
import { knownDim, missingDim, multiplyDims } from './dims.js';
import type { Operator } from './operator.js';
import { expectOneOf, expectRank, required } from './operator.js';
import { Transpose } from './reshaping.js';
import { reshape, reshapeLike } from './shape-helpers.js';

interface Blocks {
  /** Channels and block split off, before and after the permutation that moves blocks. */
  readonly split: Shape;
  readonly perm: readonly number[];
  readonly shape: Shape;
}

/** Channels [b, b, C'] (DCR) or [C', b, b] (CRD) moved behind rows and columns. */
function depthToSpace([n, c, h, w]: Shape, b: number, mode: 'DCR' | 'CRD'): Blocks {
  expectOneOf(mode, ['DCR', 'CRD'], 'mode');
  const channels = knownDim(c, 'the number of channels') / (b * b);
  if (!Number.isInteger(channels)) throw new Error(`${c} channels do not divide into blocks of ${b}x${b}`);
  const [N, H, W] = [n as Dim, h as Dim, w as Dim];
  return {
    split: mode === 'DCR' ? [N, b, b, channels, H, W] : [N, channels, b, b, H, W],
    perm: mode === 'DCR' ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3],
    shape: [N, channels, multiplyDims([b, H]), multiplyDims([b, W])],
  };
}

function spaceToDepth([n, c, h, w]: Shape, b: number): Blocks {
  const [N, C] = [n as Dim, c as Dim];
  const [rows, columns] = [missingDim([h as Dim], [b]), missingDim([w as Dim], [b])];
  return {
    split: [N, C, rows, b, columns, b],
    perm: [0, 3, 5, 1, 2, 4],
    shape: [N, multiplyDims([b * b, C]), rows, columns],
  };
}

function blocksOperator<K extends 'DepthToSpace' | 'SpaceToDepth'>(
  blocksOf: (shape: Shape, attributes: Parameters<Operator<K>['evaluate']>[1]) => Blocks,
): Operator<K> {
  return {
    infer: (inputs, attributes) => {
      const x = required(inputs, 0);
      expectRank(x, 4, 'an image batch [N, C, H, W]');
      return { dtype: x.dtype, shape: blocksOf(x.shape, attributes).shape };
    },
    // The same steps backwards: reshape, transpose, reshape.
    vjp: ({ g, inputs, cotangent, attributes }) => [
      () => {
        const x = required(inputs, 0);
        const { split, perm } = blocksOf(x.shape, attributes);
        const moved = reshape(
          g,
          cotangent,
          perm.map((axis) => split[axis] as Dim),
        );
        const back = g.apply('Transpose', [moved], { perm: perm.map((_, axis) => perm.indexOf(axis)) });
        return reshapeLike(g, back, x);
      },
    ],
    evaluate: (inputs, attributes): Tensor => {
      const x = required(inputs, 0);
      const { split, perm, shape } = blocksOf(x.shape, attributes);
      const { data } = Transpose.evaluate([{ ...x, shape: split as number[] }], { perm });
      return { dtype: x.dtype, shape: shape as number[], data };
    },
  };
}

/** Blocks of channels to blocks of pixels. */
export const DepthToSpace = blocksOperator<'DepthToSpace'>((shape, { blocksize, mode = 'DCR' }) =>
  depthToSpace(shape, blocksize, mode),
);

/** Blocks of pixels to blocks of channels. */
export const SpaceToDepth = blocksOperator<'SpaceToDepth'>((shape, { blocksize }) => spaceToDepth(shape, blocksize));
