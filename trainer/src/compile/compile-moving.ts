import { type ExternalReader, encodeOnnx, lowerForCpu } from '@whet/compiler';
import { grownHead } from '@whet/models';
import { type CompiledPattern, compilePattern, type PatternSource } from '../pattern/compile-pattern.js';
import { takeSupportMoments } from '../pattern/support-moments.js';
import { bundledNormalizations } from '../task/normalizations.js';
import type { FileNormalization } from './compile-options.js';
import { exportedPrefix } from './exported-prefix.js';
import { checkMovingPart, frozenPart, isImage, type MovingPart, movingPart } from './frozen-part.js';
import { CompileError } from './read/compile-error.js';
import type { ModelParameter } from './read/model-parameters.js';
import type { SourceHead } from './read/read-head.js';
import type { SourceModel } from './read/read-model.js';
import { spreadPrototypes } from './spread-prototypes.js';

export interface Compiled extends CompiledPattern {
  /** What moves, where the frozen part has to be the file's own: there is no `encode` then, but perhaps a boundary. */
  readonly exactly: MovingPart | undefined;
}

/** The graphs of a model of which `moving` moves. Throws {@link CompileError} naming the pattern. */
export function compileMoving(
  model: SourceModel,
  head: SourceHead | undefined,
  moving: readonly ModelParameter[],
  pattern: string,
  normalization: FileNormalization,
): Compiled {
  const rest: Omit<PatternSource, 'features'> = {
    featureLength: model.layout.length,
    startHead: (g, values, labels, kept) =>
      kept ? grownHead(g, kept, values, labels) : spreadPrototypes(g, values, labels),
    ...(head ? { keptClasses: head.classes } : {}),
  };
  try {
    const features = model.featureGraph(moving);
    if (!model.opaque) {
      const source = bundledNormalizations[normalization].storesMoments ? takeSupportMoments(features) : { features };
      return { ...compilePattern({ ...source, ...rest }), exactly: undefined };
    }
    const exactly = movingPart(model, features, new Set(moving.map(({ name }) => name)));
    const compiled = compilePattern({ features: exactly.graph, unsplit: true, ...rest });
    return { ...compiled, boundary: isImage(model, exactly.frozen) ? [] : exactly.frozen, exactly };
  } catch (cause) {
    throw new CompileError(`pattern "${pattern}": ${(cause as Error).message}`, { cause });
  }
}

/** The graph of the frozen part, if anything is frozen: the file's own where it can be. */
export async function prefixOf(
  model: SourceModel,
  { exactly, encode, encodeQuery, boundary, features }: Compiled,
  moving: readonly ModelParameter[],
  external: ExternalReader | undefined,
): Promise<{ bytes: Uint8Array; encoded: 'as exported' | 'anew' } | undefined> {
  if (exactly) {
    const bytes = isImage(model, exactly.frozen) ? undefined : await frozenPart(model, boundary, features, external);
    await checkMovingPart(model, exactly, bytes, moving, external);
    return bytes && { bytes, encoded: 'as exported' };
  }
  if (!encode) return undefined;
  // As exported it would normalize with the file's own moments.
  const exported = encodeQuery ? undefined : await exportedPrefix(model, encode, boundary, external);
  return exported
    ? { bytes: exported, encoded: 'as exported' }
    : { bytes: encodeOnnx(lowerForCpu(encode)), encoded: 'anew' };
}
