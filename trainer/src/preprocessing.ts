import type { Preprocessing } from '@whet/runtime';
import { mismatchOf, preprocessingSchema } from '@whet/runtime/format';
import * as z from 'zod';

/** What editors say of each key. */
const DESCRIPTIONS: Readonly<Record<keyof Preprocessing, string>> = {
  width: 'Width of what the network sees, in pixels',
  height: 'Height of what the network sees, in pixels',
  channels: '1: luminance, 3: colour',
  fit: 'How another aspect ratio is brought into the frame: contained with background beside it, cut to cover it, or stretched to fill it',
  resize:
    'With cover: what the shorter side becomes, in pixels, before the middle is cut out; what just covers when absent',
  background: 'Grey level, 0 to 255, beside a contained image and below a transparent one',
  kernel: 'The filter by which an image is resized',
  grey: 'How colours become luminance: of linear light, or by the weights of Rec. 601',
  bgr: 'Blue first, in place of red',
  invert: 'Dark becomes light: ink is 1 on paper of 0',
  mean: 'Taken from pixels 0..1, one number per channel',
  std: 'What is left is divided by this, one number per channel',
};

const { properties } = preprocessingSchema as unknown as { readonly properties: Readonly<Record<string, object>> };
const described = {
  ...preprocessingSchema,
  properties: Object.fromEntries(
    Object.entries(properties).map(([key, each]) => [
      key,
      { ...each, description: DESCRIPTIONS[key as keyof Preprocessing] },
    ]),
  ),
};

/** The runtime's schema of preprocessing, for settings that zod checks. */
export const preprocessingSetting = z
  .fromJSONSchema(described as Parameters<typeof z.fromJSONSchema>[0])
  .superRefine((value, context) => {
    const problem = mismatchOf(preprocessingSchema, value);
    if (problem) context.addIssue(problem);
  }) as unknown as z.ZodType<Preprocessing>;
