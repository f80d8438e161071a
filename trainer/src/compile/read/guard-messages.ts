import * as ort from 'onnxruntime-node';

/** A tensor between processes. */
export type CarriedTensor = Pick<ort.Tensor, 'type' | 'data' | 'dims'>;

export const sent = ({ type, data, dims }: ort.Tensor): CarriedTensor => ({ type, data, dims });
/** onnxruntime types its constructor by element type, which is only known when it runs. */
export const received = ({ type, data, dims }: CarriedTensor) =>
  new ort.Tensor(type as 'float32', data as Float32Array, dims);

/** The same of each tensor of a run. */
export function each<T, U>(named: Readonly<Record<string, T>>, change: (tensor: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(named).map(([name, tensor]) => [name, change(tensor)]));
}

export interface GuardRequest {
  /** The model's path. */
  readonly file: string;
  /** Tensors of each run by name; those that the model has no input for are left out. */
  readonly batches: readonly Readonly<Record<string, CarriedTensor>>[];
  /** Of processor time. */
  readonly seconds: number;
  /** Of memory, besides what the process has. */
  readonly bytes: number;
  readonly optimize: boolean;
}

export type GuardAnswer =
  | { readonly results: readonly Readonly<Record<string, CarriedTensor>>[] }
  | { readonly stage: 'load' | 'run'; readonly error: string };
