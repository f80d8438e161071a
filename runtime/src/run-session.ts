import type { InferenceSession, Tensor } from 'onnxruntime-common';

/** What runs: a session of onnxruntime, or a graph of a bundle, which makes its own. */
export type Runnable = Pick<InferenceSession, 'inputNames'> & {
  run(feeds: InferenceSession.FeedsType): Promise<InferenceSession.ReturnType>;
};

/** Runs a graph with those of `feeds` that it takes. */
export async function runSession(
  graph: Runnable,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Record<string, Tensor>> {
  const taken: Record<string, Tensor> = {};
  for (const name of graph.inputNames) taken[name] = feeds[name] as Tensor;
  return (await graph.run(taken)) as Record<string, Tensor>;
}
