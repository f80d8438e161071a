import * as z from 'zod/mini';

export const FITS = ['contain', 'cover', 'fill'] as const;
export const KERNELS = ['nearest', 'linear', 'cubic', 'mitchell', 'lanczos2', 'lanczos3'] as const;
export const GREYS = ['linear', 'rec601'] as const;

/**
 * How an image file becomes the tensor a bundle takes. Pixels are 0..255; the tensor is
 * `(v - mean[c]) / std[c]` with `v = pixel / 255`, or `1 - pixel / 255` where `invert` is set.
 */
export const preprocessingSchema = z
  .object({
    width: z.int().check(z.positive()),
    height: z.int().check(z.positive()),
    /** 1 is grey, 3 sRGB; images of another number come as tensors, not as files. */
    channels: z.int().check(z.positive()),
    /** How another aspect ratio is brought to `width` x `height`. */
    fit: z.enum(FITS),
    /** Of `cover`: pixels of the image's shorter side, out of which the middle is cut; just enough to cover when absent. */
    resize: z.optional(z.int().check(z.positive())),
    /** Colour behind transparent pixels and around a contained image, 0..255. */
    background: z.int().check(z.gte(0), z.lte(255)),
    kernel: z.enum(KERNELS),
    /** What one channel is made of: luminance in linear light (`linear`, when absent), or 0.299 R + 0.587 G + 0.114 B (`rec601`). */
    grey: z.optional(z.enum(GREYS)),
    /** The channels of the tensor, and `mean` and `std`, are in the order blue, green, red. */
    bgr: z.optional(z.boolean()),
    invert: z.boolean(),
    mean: z.array(z.number()),
    std: z.array(z.number().check(z.positive())),
  })
  .check(
    z.refine(({ fit, resize, width, height }) => {
      return resize === undefined || (fit === 'cover' && resize >= Math.max(width, height));
    }, 'resize: expected it with fit "cover", and no smaller than width and height'),
  );

export type Preprocessing = z.infer<typeof preprocessingSchema>;
