import type { OnnxModel, OnnxValueInfo } from '@whet/compiler';
import { CompileError } from './compile-error.js';
import { expectHoldable } from './value-sizes.js';

/** The image input of a model. */
export interface ModelInput {
  readonly name: string;
  readonly shape: readonly [channels: number, height: number, width: number];
  /** How many images the file says it takes, where it says a number. */
  readonly batch?: number;
}

/** TensorProto.DataType: float, float16, double, bfloat16. */
const floats: ReadonlySet<number> = new Set([1, 10, 11, 16]);
const formatDims = (dims: OnnxValueInfo['shape']): string => `[${dims?.map((dim) => dim ?? '?').join(', ')}]`;

/** The one input that is a batch of images. Throws {@link CompileError} where there is none, or its size is not known. */
export function imageInput(model: OnnxModel, size: readonly [height: number, width: number] | undefined): ModelInput {
  const initialized = new Set(model.initializers.map(({ name }) => name));
  const inputs = model.inputs.filter(({ name }) => !initialized.has(name));
  const listed = inputs.map(({ name, shape }) => `"${name}" ${shape ? formatDims(shape) : ''}`).join(', ');
  const images = inputs.filter(({ shape }) => shape?.length === 4);
  const [image] = images;
  if (!image?.shape || images.length > 1 || inputs.length > 1) {
    throw new CompileError(`expected one input, images [N, C, H, W]; the model's inputs are ${listed || 'none'}`);
  }
  const [batch, channels, ...declared] = image.shape;
  if (channels !== 1 && channels !== 3) {
    throw new CompileError(`input ${listed}: expected images [N, C, H, W] of 1 or 3 channels`);
  }
  if (!floats.has(image.dataType)) {
    throw new CompileError(`input ${listed}: expected floating point, got element type ${image.dataType}`);
  }
  const [height, width] = declared.map((dim, axis) => {
    const given = size?.[axis];
    if (typeof dim !== 'number') return given;
    if (given === undefined || given === dim) return dim;
    throw new CompileError(`input ${listed} takes images of ${declared.join(' x ')}, not ${size?.join(' x ')}`);
  });
  if (height === undefined || width === undefined) {
    throw new CompileError(`input ${listed} takes images of any size; give the height and width to compile for`);
  }
  expectHoldable(`input ${listed}`, ['N', channels, height, width]);
  const fixed = typeof batch === 'number' ? { batch } : {};
  return { name: image.name, shape: [channels, height, width], ...fixed };
}
