import { encodeOnnx, type Graph, lowerForCpu } from '@whet/compiler';
import * as ort from 'onnxruntime-node';
import type { BundlePattern, StartingValue } from '../bundle/files.js';
import type { Images } from './calibration.js';
import { batchesOf } from './seen-activations.js';

/** Features of images `[N, ...]`, as a graph encodes them. */
async function featuresOf(encode: Uint8Array, images: Images): Promise<ort.Tensor> {
  const session = await ort.InferenceSession.create(encode);
  try {
    const parts: ort.Tensor[] = [];
    for (const batch of batchesOf(images)) parts.push((await session.run({ images: batch }))['features'] as ort.Tensor);
    const data = new Float32Array(parts.reduce((sum, part) => sum + part.size, 0));
    let at = 0;
    for (const part of parts) {
      data.set(part.data as Float32Array, at);
      at += part.size;
    }
    return new ort.Tensor('float32', data, [images.labels.length, ...(parts[0]?.dims.slice(1) ?? [])]);
  } finally {
    await session.release();
  }
}

/** A value where it starts: its open entries in a row, or all of it in its shape. */
function startOf({ shape, data, mask }: StartingValue): ort.Tensor {
  if (!mask?.includes(0)) return new ort.Tensor('float32', data, [...shape]);
  const open = data.filter((_, i) => mask[i]);
  return new ort.Tensor('float32', open, [open.length]);
}

/** Which class a row of `[N, W]` is most of. */
function classesOf({ data, dims }: ort.Tensor): number[] {
  const width = dims[1] as number;
  return Array.from({ length: dims[0] as number }, (_, i) => {
    const row = (data as Float32Array).subarray(i * width, (i + 1) * width);
    return row.indexOf(row.reduce((most, value) => Math.max(most, value), -Infinity));
  });
}

type Answers = (features: ort.Tensor) => Promise<readonly number[]>;

/** How a pattern answers before any step, and about which of the images. */
interface Opened {
  readonly asked: readonly number[];
  readonly answers: Answers;
  release(): Promise<void>;
}

const openGraph = (graph: Graph | Uint8Array): Promise<ort.InferenceSession> =>
  ort.InferenceSession.create(graph instanceof Uint8Array ? graph : encodeOnnx(lowerForCpu(graph)));

function oneHot(labels: readonly number[]): ort.Tensor {
  const classes = Math.max(...labels) + 1;
  const data = new Float32Array(labels.length * classes);
  for (const [i, label] of labels.entries()) data[i * classes + label] = 1;
  return new ort.Tensor('float32', data, [labels.length, classes]);
}

/** Some of the rows of features. */
function rowsOf({ data, dims }: ort.Tensor, rows: readonly number[]): ort.Tensor {
  const length = data.length / (dims[0] as number);
  const some = new Float32Array(rows.length * length);
  for (const [at, row] of rows.entries()) {
    some.set((data as Float32Array).subarray(row * length, (row + 1) * length), at * length);
  }
  return new ort.Tensor('float32', some, [rows.length, ...dims.slice(1)]);
}

const takenBy = (session: ort.InferenceSession, feeds: Readonly<Record<string, ort.Tensor>>) =>
  Object.fromEntries(Object.entries(feeds).filter(([name]) => session.inputNames.includes(name)));

/**
 * How a pattern answers about images: by prototypes of the other images of each class; by the rows of a kept head; or where a head starts
 * from examples in another way, about every second image of a class by a head that the others made.
 */
async function openAnswers({ graphs, moving, kept = new Map() }: BundlePattern, { labels }: Images): Promise<Opened> {
  const values = Object.fromEntries([...moving, ...kept].map(([name, value]) => [name, startOf(value)]));
  const all = labels.map((_, i) => i);
  const predictBy = async (session: ort.InferenceSession, feeds: Readonly<Record<string, ort.Tensor>>) => {
    const outputs = await session.run(takenBy(session, { ...values, ...feeds }));
    return classesOf((outputs['logits'] ?? outputs['probabilities']) as ort.Tensor);
  };
  if (graphs.leftOut || kept.has('head.weight')) {
    const session = await openGraph((graphs.leftOut ?? graphs.predict) as Graph | Uint8Array);
    const support = new ort.Tensor('float32', new Float32Array(labels.length).fill(1), [labels.length]);
    const known = { labels: oneHot(labels), support };
    return {
      asked: all,
      answers: (features) => predictBy(session, { ...known, features }),
      release: () => session.release(),
    };
  }
  const made = all.filter((i) => labels.slice(0, i).filter((label) => label === labels[i]).length % 2 === 0);
  const asked = all.filter((i) => !made.includes(i));
  const own = oneHot(labels);
  const start = await openGraph(graphs.start as Graph | Uint8Array);
  const predict = await openGraph(graphs.predict as Graph | Uint8Array);
  const moments = graphs.moments && (await openGraph(graphs.moments));
  return {
    asked,
    answers: async (features) => {
      const support = { features: rowsOf(features, made), labels: rowsOf(own, made), ...values };
      const head = await start.run(takenBy(start, support));
      const observed = moments ? await moments.run(takenBy(moments, support)) : {};
      return predictBy(predict, { features: rowsOf(features, asked), ...head, ...observed });
    },
    release: async () => {
      for (const session of [start, predict, moments]) await session?.release();
    },
  };
}

/** What is lost where a frozen part is another. */
export interface Loss {
  /** How far features are from what they were, as a part of their length. */
  readonly distance: number;
  /** Absent where the images are not of classes. */
  readonly accuracy?: AccuracyLoss;
}

/** Accuracy lost without any step; of a kept head, answers that are others. */
export interface AccuracyLoss {
  readonly points: number;
  /** Half of its 95 % interval, by how many answers changed. */
  readonly halfWidth: number;
  readonly images: number;
}

/** Measures what is lost against a frozen part in float32. */
export async function openLoss(
  pattern: BundlePattern,
  float: Uint8Array,
  images: Images,
  hasClasses: boolean,
): Promise<{ readonly of: (encode: Uint8Array) => Promise<Loss>; readonly release: () => Promise<void> }> {
  const expected = await featuresOf(float, images);
  const opened = hasClasses ? await openAnswers(pattern, images) : undefined;
  const before = await opened?.answers(expected);
  // A kept head's own classes are not those of the folders: its answers are to stay as they were.
  const isKept = pattern.kept?.has('head.weight') && !pattern.graphs.leftOut;
  const truth = isKept ? (before ?? []) : (opened?.asked ?? []).map((i) => images.labels[i]);
  return {
    of: async (encode) => {
      const features = await featuresOf(encode, images);
      const loss = { distance: distance(features, expected) };
      if (!opened || !before) return loss;
      const after = await opened.answers(features);
      const isRight = (answers: readonly number[], i: number) => Number(answers[i] === truth[i]);
      const lost = truth.map((_, i) => isRight(before, i) - isRight(after, i));
      const changed = lost.filter((each) => each !== 0).length;
      const share = 100 / truth.length;
      const points = share * lost.reduce((sum, each) => sum + each, 0);
      return { ...loss, accuracy: { points, halfWidth: share * 1.96 * Math.sqrt(changed), images: truth.length } };
    },
    release: async () => opened?.release(),
  };
}

/** How far features are from others, as a part of their length. */
function distance(features: ort.Tensor, from: ort.Tensor): number {
  const [x, y] = [features.data as Float32Array, from.data as Float32Array];
  let [apart, length] = [0, 0];
  for (const [i, value] of y.entries()) {
    apart += ((x[i] as number) - value) ** 2;
    length += value ** 2;
  }
  return Math.sqrt(apart / (length || 1));
}
