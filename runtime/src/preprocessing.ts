import { checked, fields, flag, list, number, oneOf, optional, positive, type TypeOf, whole } from './schema.js';

export const FITS = ['contain', 'cover', 'fill'] as const;
export const KERNELS = ['nearest', 'linear', 'cubic', 'mitchell', 'lanczos2', 'lanczos3'] as const;
export const GREYS = ['linear', 'rec601'] as const;

/**
 * How an image file becomes the tensor a bundle takes. Pixels are 0..255; the tensor is
 * `(v - mean[c]) / std[c]` with `v = pixel / 255`, or `1 - pixel / 255` where `invert` is set.
 */
export const preprocessingSchema = checked(
  fields({
    width: positive,
    height: positive,
    /** 1 is grey, 3 sRGB; images of another number come as tensors, not as files. */
    channels: positive,
    /** How another aspect ratio is brought to `width` x `height`. */
    fit: oneOf(FITS),
    /** Of `cover`: pixels of the image's shorter side, out of which the middle is cut; just enough to cover when absent. */
    resize: optional(positive),
    /** Colour behind transparent pixels and around a contained image, 0..255. */
    background: whole({ minimum: 0, maximum: 255 }),
    kernel: oneOf(KERNELS),
    /** What one channel is made of: luminance in linear light (`linear`, when absent), or 0.299 R + 0.587 G + 0.114 B (`rec601`). */
    grey: optional(oneOf(GREYS)),
    /** The channels of the tensor, and `mean` and `std`, are in the order blue, green, red. */
    bgr: optional(flag),
    invert: flag,
    mean: list(number()),
    std: list(number({ exclusiveMinimum: 0 })),
  }),
  ({ fit, resize, width, height }) =>
    resize === undefined || (fit === 'cover' && resize >= Math.max(width, height))
      ? undefined
      : 'resize: expected it with fit "cover", and no smaller than width and height',
);

export type Preprocessing = TypeOf<typeof preprocessingSchema>;
