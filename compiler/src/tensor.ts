/** Element types of a graph. A graph that is differentiated works in float32; the others are read and evaluated. */
export type DType = 'float32' | 'float16' | 'float64' | 'int64' | 'int32' | 'int8' | 'uint8' | 'bool';

export function isFloat(dtype: DType): boolean {
  return dtype.startsWith('float');
}

/** A dimension: a number, or a symbol such as `N` that is known when the graph runs. */
export type Dim = number | string;
export type Shape = readonly Dim[];

export type NumericArray = Float64Array | Float32Array | Int32Array | Uint8Array;

/** Concrete values in row-major order. Integers and bool (0 or 1) are held as numbers. */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: NumericArray;
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Row-major strides, in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis] as number;
  }
  return strides;
}

export function makeTensor(shape: readonly number[], data: NumericArray | readonly number[], dtype: DType = 'float32') {
  const array = Array.isArray(data) ? Float64Array.from(data) : (data as NumericArray);
  if (array.length !== sizeOf(shape)) {
    throw new RangeError(`tensor of shape [${shape.join(', ')}] takes ${sizeOf(shape)} values, got ${array.length}`);
  }
  return { dtype, shape, data: array } satisfies Tensor;
}

/** A one-dimensional int64 tensor, as ONNX takes axes, shapes and pads. */
export function int64s(values: readonly number[]): Tensor {
  return makeTensor([values.length], values, 'int64');
}

export function isStatic(shape: Shape): shape is readonly number[] {
  return shape.every((dim) => typeof dim === 'number');
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/** The shape two operands broadcast to (ONNX multidirectional broadcasting), or undefined where they do not. */
export function broadcastShapes(a: Shape, b: Shape): Dim[] | undefined {
  const rank = Math.max(a.length, b.length);
  const result: Dim[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const da = a[axis - rank + a.length] ?? 1;
    const db = b[axis - rank + b.length] ?? 1;
    if (da === db || db === 1) result.push(da);
    else if (da === 1) result.push(db);
    else return undefined;
  }
  return result;
}

/** `axis` counted from the front; throws where it is outside `[-rank, rank)`. */
export function normalizeAxis(axis: number, rank: number): number {
  const result = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || result < 0 || result >= rank) {
    throw new RangeError(`axis ${axis} is outside a value of rank ${rank}`);
  }
  return result;
}
