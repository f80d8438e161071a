import { type ExternalReader, exposeOnnx, makeTensor, type OnnxModel, type Shape, type Tensor } from '@whet/compiler';
import * as ort from 'onnxruntime-node';
import { BatchError, CompileError } from './compile-error.js';
import type { ModelInput } from './model-input.js';

/** What running a model shows of one of its tensors; `fixed` where its first axis does not count images. */
export type Measured =
  | { readonly kind: 'batch'; readonly shape: Shape }
  | { readonly kind: 'constant'; readonly value: Tensor }
  | { readonly kind: 'other'; readonly what: string; readonly fixed?: boolean };

/** A batch of images without meaning, the same each time; each number is an image, of another brightness and contrast. */
export function waves(input: ModelInput, images: readonly number[]): ort.Tensor {
  const length = input.shape.reduce((a, b) => a * b, 1);
  const wave = (image: number, i: number) =>
    (1 + image / 2) * Math.sin(0.37 * i + image) * Math.cos(0.011 * i) + image / 4;
  const byte = (value: number) => Math.min(255, Math.max(0, Math.round(127.5 + 64 * value)));
  const pixel = (image: number, i: number) => (input.bytes ? byte(wave(image, i)) : wave(image, i));
  const data = new Float32Array(images.length * length);
  images.forEach((image, n) => {
    for (let i = 0; i < length; i++) data[n * length + i] = pixel(image, i);
  });
  return new ort.Tensor('float32', data, [images.length, ...input.shape]);
}

const dtypes: Readonly<Record<string, Tensor['dtype']>> = {
  float32: 'float32',
  int64: 'int64',
  int32: 'int64',
  int16: 'int64',
  int8: 'int64',
  uint64: 'int64',
  uint32: 'int64',
  uint16: 'int64',
  uint8: 'int64',
  bool: 'bool',
};

function constantOf({ type, data, dims }: ort.Tensor): Measured {
  const dtype = dtypes[type];
  if (!dtype) return { kind: 'other', what: `${type} [${dims.join(', ')}]` };
  return { kind: 'constant', value: makeTensor(dims, Float64Array.from(data as Float32Array, Number), dtype) };
}

function batchOf(name: string, [two, three, one]: readonly [ort.Tensor, ort.Tensor, ort.Tensor]): Measured {
  const [shape, larger] = [two.dims, three.dims];
  const fixed = two.type === 'float32' && shape[0] !== 2;
  const other = { kind: 'other', what: `${two.type} [${shape.join(', ')}] for 2 images`, fixed } as const;
  if (two.type !== 'float32' || three.type !== 'float32' || shape[0] !== 2 || larger[0] !== 3) return other;
  const rest = shape.slice(1);
  if (shape.length !== larger.length || rest.some((dim, axis) => dim !== larger[axis + 1])) return other;
  if (one.dims.join() !== [1, ...rest].join()) {
    throw new BatchError(
      `"${name}": expected float32 [1, ${rest.join(', ')}] for one image, got [${one.dims.join(', ')}]`,
    );
  }
  return { kind: 'batch', shape: ['N', ...rest] };
}

/** Throws where the model itself declares another size than it makes; its batch may be declared as anything. */
function checkDeclared(model: OnnxModel, name: string, shape: Shape): void {
  const info = [...model.valueInfo, ...model.outputs].find((candidate) => candidate.name === name);
  const conflict =
    info?.shape &&
    (info.shape.length !== shape.length ||
      info.shape.some((dim, axis) => axis > 0 && typeof dim === 'number' && dim !== shape[axis]));
  if (!conflict) return;
  const declared = info.shape?.map((dim) => dim ?? '?').join(', ');
  throw new CompileError(`"${name}" is declared as [${declared}], onnxruntime makes [${shape.join(', ')}]`);
}

const reasonOf = (error: unknown): string => (error as Error).message.trim();

/** Runs a part of a model and gives back its session's memory; what goes wrong is a {@link CompileError} that names `part`. */
export async function runBatches(
  bytes: Uint8Array,
  input: ModelInput,
  inputName: string,
  batches: readonly (readonly number[])[],
  part = 'the frozen part',
): Promise<ort.InferenceSession.ReturnType[]> {
  let session: ort.InferenceSession;
  try {
    session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 4, intraOpNumThreads: 1 });
  } catch (cause) {
    throw new CompileError(`onnxruntime does not load ${part}: ${reasonOf(cause)}`, { cause });
  }
  const run = (images: readonly number[]) =>
    session.run(session.inputNames.length > 0 ? { [inputName]: waves(input, images) } : {});
  try {
    const results: ort.InferenceSession.ReturnType[] = [];
    for (const images of batches) results.push(await run(images));
    return results;
  } catch (cause) {
    const single = await run([0]).then(
      () => true,
      () => false,
    );
    if (!single) throw new CompileError(`${part} does not run: ${reasonOf(cause)}`, { cause });
    const what = 'takes one image at a time only; export the model with a batch axis that is not fixed (dynamic)';
    throw new BatchError(`${part} ${what}: ${reasonOf(cause)}`, { cause });
  } finally {
    await session.release();
  }
}

/**
 * Runs the file up to `tensors` on two, three and one images: which axis counts images, and how long the others are.
 * Tensors in `constants` depend on no image; their values are taken.
 */
export async function measureTensors(
  bytes: Uint8Array,
  model: OnnxModel,
  input: ModelInput,
  tensors: readonly string[],
  constants: ReadonlySet<string>,
  external: ExternalReader | undefined,
): Promise<Map<string, Measured>> {
  const measured = new Map<string, Measured>();
  if (tensors.length === 0) return measured;
  const declared = ['N', ...input.shape];
  const exposed = exposeOnnx(bytes, tensors, { tensor: input.name, shape: declared }, external);
  const runs = await runBatches(exposed, input, input.name, [[0, 1], [0, 1, 2], [0]]);
  for (const name of tensors) {
    const made = runs.map((run) => run[name]) as [ort.Tensor, ort.Tensor, ort.Tensor];
    const result = constants.has(name) ? constantOf(made[0]) : batchOf(name, made);
    if (result.kind === 'batch') checkDeclared(model, name, result.shape);
    measured.set(name, result);
  }
  return measured;
}

/** Throws {@link CompileError} where the model's last layer does not take what stands before it: nothing else reads it. */
export async function checkLayer(
  bytes: Uint8Array,
  input: ModelInput,
  layer: string,
  external: ExternalReader | undefined,
): Promise<void> {
  const exposed = exposeOnnx(bytes, [layer], { tensor: input.name, shape: ['N', ...input.shape] }, external);
  await runBatches(exposed, input, input.name, [[0]], `the model's last layer (to "${layer}")`);
}
