import {
  type ExternalReader,
  exposeOnnx,
  makeTensor,
  type OnnxModel,
  type OnnxValueInfo,
  type Shape,
  type Tensor,
} from '@whet/compiler';
import * as ort from 'onnxruntime-node';
import { BatchError, CompileError } from './compile-error.js';
import { type Feeds, limitsFor, ModelRunError, runGuarded } from './guarded-run.js';
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

/** The value that a tensor has whatever the images are; `other` of a type that the graph has not. */
export function constantOf({ type, data, dims }: ort.Tensor): Measured {
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
function checkDeclared(declaredValues: ReadonlyMap<string, OnnxValueInfo>, name: string, shape: Shape): void {
  const info = declaredValues.get(name);
  const conflict =
    info?.shape &&
    (info.shape.length !== shape.length ||
      info.shape.some((dim, axis) => axis > 0 && typeof dim === 'number' && dim !== shape[axis]));
  if (!conflict) return;
  const declared = info.shape?.map((dim) => dim ?? '?').join(', ');
  throw new CompileError(`"${name}" is declared as [${declared}], onnxruntime makes [${shape.join(', ')}]`);
}

const tooMuch = (part: string, cause: ModelRunError) =>
  new CompileError(`${part} is too much to run: ${cause.message}`, { cause });

/** Runs a part of a model on so many images at a time; what goes wrong is a {@link CompileError} that names `part`. */
export async function runBatches(
  bytes: Uint8Array,
  input: ModelInput,
  inputName: string,
  batches: readonly (readonly number[])[],
  part = 'the frozen part',
): Promise<ort.InferenceSession.ReturnType[]> {
  const run = (each: readonly (readonly number[])[]) =>
    runGuarded(
      bytes,
      each.map((images) => ({ [inputName]: waves(input, images) })),
    );
  try {
    return await run(batches);
  } catch (cause) {
    if (!(cause instanceof ModelRunError)) throw cause;
    if (cause.stage === 'load')
      throw new CompileError(`onnxruntime does not load ${part}: ${cause.message}`, { cause });
    if (cause.stage === 'limit') throw tooMuch(part, cause);
    const runs = (count: number) =>
      run([Array.from({ length: count }, (_, i) => i)]).then(
        () => true,
        (error: unknown) => {
          if (error instanceof ModelRunError && error.stage === 'limit') throw tooMuch(part, error);
          return false;
        },
      );
    const { batch = 1 } = input;
    const only = (await runs(1)) ? 1 : batch > 1 && (await runs(batch)) ? batch : undefined;
    if (only === undefined) throw new CompileError(`${part} does not run: ${cause.message}`, { cause });
    const what = `takes ${only === 1 ? 'one image' : `${only} images`} at a time only`;
    const instead = 'export the model with a batch axis that is not fixed (dynamic)';
    throw new BatchError(`${part} ${what}; ${instead}: ${cause.message}`, { cause, reason: cause.message });
  }
}

/** What a graph of a bundle makes of `feeds`, as its `features`, which may take as much as a
 * file of `fileBytes`. Throws {@link CompileError} where that is too much to run. */
export async function runOne(bytes: Uint8Array, feeds: Feeds, fileBytes = bytes.length): Promise<ort.Tensor> {
  try {
    const [outputs] = await runGuarded(bytes, [feeds], limitsFor(fileBytes, [feeds]));
    return outputs?.['features'] as ort.Tensor;
  } catch (cause) {
    throw new CompileError(`onnxruntime does not run the features: ${(cause as Error).message}`, { cause });
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
  const values = new Map([...model.outputs, ...model.valueInfo].map((info) => [info.name, info]));
  for (const name of tensors) {
    const made = runs.map((run) => run[name]) as [ort.Tensor, ort.Tensor, ort.Tensor];
    const result = constants.has(name) ? constantOf(made[0]) : batchOf(name, made);
    if (result.kind === 'batch') checkDeclared(values, name, result.shape);
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
