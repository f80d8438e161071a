import type { Preprocessing } from '@whet/runtime';
import { mismatchOf, preprocessingSchema } from '@whet/runtime/format';
import * as z from 'zod';

/** The runtime's schema of preprocessing, for settings that zod checks. */
export const preprocessingSetting = z
  .fromJSONSchema(preprocessingSchema as Parameters<typeof z.fromJSONSchema>[0])
  .superRefine((value, context) => {
    const problem = mismatchOf(preprocessingSchema, value);
    if (problem) context.addIssue(problem);
  }) as unknown as z.ZodType<Preprocessing>;
