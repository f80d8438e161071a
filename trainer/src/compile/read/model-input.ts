import { dataTypeName, type OnnxModel, type OnnxValueInfo, withPlanarInput } from '@whet/compiler';
import { CompileError } from './compile-error.js';
import { expectHoldable } from './value-sizes.js';

/** Where the channels of an image stand: before its height and width, or behind. */
export type ImageLayout = 'nchw' | 'nhwc';

/** The image input of a model. */
export interface ModelInput {
  readonly name: string;
  readonly shape: readonly [channels: number, height: number, width: number];
  /** How many images the file says it takes, where it says a number. */
  readonly batch?: number;
  /** Whether pixels are whole numbers 0..255, as the model prepares them itself. */
  readonly bytes: boolean;
}

/** TensorProto.DataType: float, float16, double, bfloat16. */
const floats: ReadonlySet<number> = new Set([1, 10, 11, 16]);
const BYTES = 2;
type Dims = NonNullable<OnnxValueInfo['shape']>;
const formatDims = (dims: Dims | undefined): string => `[${dims?.map((dim) => dim ?? '?').join(', ')}]`;

/** By which axis is short: that of the channels; of a square image, the one that is not as long as the others. */
function layoutOf([, first, middle, last]: Dims): ImageLayout | undefined {
  if (typeof first !== 'number' || typeof last !== 'number') {
    if (typeof first === typeof last) return undefined;
    return typeof first === 'number' ? 'nchw' : 'nhwc';
  }
  if (middle === last && middle !== first) return 'nchw';
  if (middle === first && middle !== last) return 'nhwc';
  if (first === last) return undefined;
  return first < last ? 'nchw' : 'nhwc';
}

/** The one input that is a batch of images. Throws {@link CompileError} where there is none, or several. */
function imageInput(model: OnnxModel): { info: OnnxValueInfo; shape: Dims; listed: string } {
  const initialized = new Set(model.initializers.map(({ name }) => name));
  const inputs = model.inputs.filter(({ name }) => !initialized.has(name));
  const listed = inputs.map(({ name, shape }) => `"${name}" ${shape ? formatDims(shape) : ''}`).join(', ');
  const [info, ...others] = inputs;
  if (info?.shape?.length !== 4 || others.length > 0) {
    const expected = 'expected one input, images [N, C, H, W] or [N, H, W, C]';
    throw new CompileError(`${expected}; the model's inputs are ${listed || 'none'}`);
  }
  return { info, shape: info.shape, listed };
}

export interface InputOptions {
  /** Height and width, for a model that takes images of any size. */
  readonly imageSize?: readonly [height: number, width: number];
  /** Where the channels stand, for a model whose input does not show it. */
  readonly layout?: ImageLayout;
}

/**
 * The model's file as it takes float32 images `[N, C, H, W]`, and that input. What takes `[N, H, W, C]` or bytes gets
 * nodes in front. Throws {@link CompileError} where there is no such input, or its size is not known.
 */
export function withImageInput(
  bytes: Uint8Array,
  model: OnnxModel,
  options: InputOptions,
): { file: Uint8Array; input: ModelInput } {
  const { info, shape, listed } = imageInput(model);
  const layout = options.layout ?? layoutOf(shape);
  if (!layout) {
    throw new CompileError(
      `input ${listed}: expected a number of channels first or last; give the layout, nchw or nhwc`,
    );
  }
  const [batch, ...axes] = shape;
  const [channels, ...declared] = layout === 'nchw' ? axes : [axes[2], axes[0], axes[1]];
  if (typeof channels !== 'number') {
    const place = layout === 'nchw' ? '[N, C, H, W]' : '[N, H, W, C]';
    throw new CompileError(`input ${listed}: expected images ${place} of a known number of channels`);
  }
  if (!floats.has(info.dataType) && info.dataType !== BYTES) {
    const got = dataTypeName(info.dataType);
    throw new CompileError(`input ${listed}: expected floating point or uint8, got element type ${got}`);
  }
  const size = options.imageSize;
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
  const wholeNumbers = info.dataType === BYTES;
  const image = {
    shape: [channels, height, width],
    bytes: wholeNumbers,
    ...(typeof batch === 'number' ? { batch } : {}),
  } as const;
  if (layout === 'nchw' && !wholeNumbers) return { file: bytes, input: { name: info.name, ...image } };
  const form = { tensor: info.name, channels, height, width, channelsLast: layout === 'nhwc', bytes: wholeNumbers };
  const { file, input: name } = withPlanarInput(bytes, form);
  return { file, input: { name, ...image } };
}
