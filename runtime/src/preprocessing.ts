import * as z from 'zod/mini';

/**
 * How an image file becomes the tensor a bundle takes. Pixels are 0..255; the tensor is
 * `(v - mean[c]) / std[c]` with `v = pixel / 255`, or `1 - pixel / 255` where `invert` is set.
 */
export const preprocessingSchema = z.object({
  width: z.int().check(z.positive()),
  height: z.int().check(z.positive()),
  /** 1 is luminance, 3 sRGB; images of another number come as tensors, not as files. */
  channels: z.int().check(z.positive()),
  /** How another aspect ratio is brought to `width` x `height`. */
  fit: z.enum(['contain', 'cover', 'fill']),
  /** Colour behind transparent pixels and around a contained image, 0..255. */
  background: z.int().check(z.gte(0), z.lte(255)),
  kernel: z.enum(['nearest', 'linear', 'cubic', 'mitchell', 'lanczos2', 'lanczos3']),
  invert: z.boolean(),
  mean: z.array(z.number()),
  std: z.array(z.number().check(z.positive())),
});

export type Preprocessing = z.infer<typeof preprocessingSchema>;
