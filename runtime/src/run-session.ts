import type { InferenceSession, Tensor } from 'onnxruntime-common';

/** Runs a session with those of `feeds` that it takes. */
export async function runSession(
  session: InferenceSession,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Record<string, Tensor>> {
  const taken: Record<string, Tensor> = {};
  for (const name of session.inputNames) taken[name] = feeds[name] as Tensor;
  return (await session.run(taken)) as Record<string, Tensor>;
}
