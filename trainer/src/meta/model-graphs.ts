import { createHash } from 'node:crypto';
import type { ExternalReader, Graph } from '@whet/compiler';
import { boundaryOf, movingSource, prefixOf } from '../compile/compile-moving.js';
import { CompileError } from '../compile/read/compile-error.js';
import type { SourceModel } from '../compile/read/read-model.js';
import { gradientGraph } from '../pattern/gradient-graph.js';
import type { Candidates } from './candidates.js';
import type { ModelRunConfig } from './config.js';

/** A model as meta-training runs it: what is frozen below every candidate, and the rest with its gradients. */
export interface ModelGraphs {
  /** `images [N, C, H, W]` to `features`, an ONNX file; undefined where the image itself is what candidates read. */
  readonly prefix: Uint8Array | undefined;
  /** As `gradientGraph` gives it. */
  readonly gradient: Graph;
  /** Shape of the features of one image. */
  readonly features: readonly number[];
}

/** The graphs of a model with a cosine head and candidates. Throws {@link CompileError} where these cannot be differentiated. */
export async function modelGraphs(
  model: SourceModel,
  { tensors }: Candidates,
  { external }: { readonly external?: ExternalReader | undefined } = {},
): Promise<ModelGraphs> {
  const moving = tensors.map(({ parameter }) => parameter);
  try {
    const { source, exactly } = movingSource(model, undefined, moving, { head: 'cosine' });
    const { encode, gradient, features, boundary } = gradientGraph(source);
    const ends = boundaryOf(model, exactly, boundary);
    const prefix = await prefixOf(
      model,
      { exactly, encode, encodeQuery: undefined, boundary: ends, features },
      moving,
      external,
    );
    return { prefix: prefix?.bytes, gradient, features };
  } catch (cause) {
    throw new CompileError(`candidates: ${(cause as Error).message}`, { cause });
  }
}

/** What features depend on besides the images: the model, what of it is frozen, and how images are prepared. */
export const prefixKey = (
  { model, preprocessing }: Pick<ModelRunConfig, 'model' | 'preprocessing'>,
  { prefix }: ModelGraphs,
): object => ({
  model: model.sha256,
  prefix: prefix && createHash('sha256').update(prefix).digest('hex'),
  preprocessing,
});
