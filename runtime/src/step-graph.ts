import { Tensor } from 'onnxruntime-common';
import { GraphSession, type TensorNames } from './graph-session.js';
import { nextName } from './optimizer.js';
import type { BundleSource } from './source.js';
import { LOOP, loopModel } from './step-loop.js';
import { dataOf, type TensorFeeds } from './tensors.js';

/** Steps of one run: the first one's number and rate first. */
export interface Steps {
  readonly rates: readonly number[];
  /** As the optimizer counts them. */
  readonly counts: readonly number[];
  /** Loss above which the first one's ends the run. */
  readonly limit: number;
}

/** What steps led to: values, and the optimizer's states. */
export interface StepsTaken {
  /** After the last. */
  readonly last: TensorFeeds;
  /** Before the last. */
  readonly before: TensorFeeds;
  /** Values before the one before the last; those that were best before, where there was but one. */
  readonly earlier: TensorFeeds;
  /** Before each; fewer than steps were asked for where the last one rose. */
  readonly losses: readonly number[];
}

const scalar = (value: number): Tensor => new Tensor('float32', Float32Array.of(value), []);
const vector = (values: readonly number[]): Tensor => new Tensor('float32', Float32Array.from(values), [values.length]);

const named = (names: readonly string[], tensors: TensorFeeds, nameOf: (name: string) => string): TensorFeeds =>
  Object.fromEntries(names.map((name) => [name, tensors[nameOf(name)] as Tensor]));

export interface StepGraphOptions {
  readonly names: TensorNames;
  readonly small: boolean;
  /** What steps change: values, and an optimizer's states of them. */
  readonly values: readonly string[];
  readonly states: readonly string[];
}

/** The graph of a pattern's steps. */
export class StepGraph extends GraphSession {
  /** How many steps a run takes at most. */
  readonly most: number;
  readonly #values: readonly string[];
  readonly #carried: readonly string[];

  /** Several are one run where the sessions of `source` run loops. */
  constructor(
    source: BundleSource,
    path: string,
    model: Uint8Array,
    weights: ReadonlyMap<string, Uint8Array>,
    { values, states, ...options }: StepGraphOptions,
  ) {
    const prepare = source.loops ? (bytes: Uint8Array) => loopModel(bytes, values, states) : undefined;
    super(source, path, model, weights, { ...options, many: true, prepare });
    this.most = source.loops ? Number.POSITIVE_INFINITY : 1;
    this.#values = values;
    this.#carried = [...values, ...states];
  }

  /** Takes steps, of `most` at most, with what else the graph reads among `feeds`; `best` are the values of the loss before. */
  async take(
    feeds: TensorFeeds,
    from: TensorFeeds,
    best: TensorFeeds,
    { rates, counts, limit }: Steps,
  ): Promise<StepsTaken> {
    const given: Record<string, Tensor> = {};
    for (const name of this.inputNames) if (feeds[name]) given[name] = feeds[name];
    const isCounted = this.inputNames.includes('count');
    if (this.most === 1) {
      const count = isCounted ? { count: scalar(counts[0] as number) } : {};
      const outputs = await this.run({ ...given, ...count, ...from, rate: scalar(rates[0] as number) });
      const losses = [...dataOf(outputs['loss'] as Tensor)];
      return { last: named(this.#carried, outputs, nextName), before: from, earlier: best, losses };
    }
    for (const name of this.#carried) given[LOOP.first(name)] = from[name] as Tensor;
    for (const name of this.#values) given[LOOP.best(name)] = best[name] as Tensor;
    const outputs = await this.run({
      ...given,
      [LOOP.trips]: new Tensor('int64', BigInt64Array.of(BigInt(rates.length)), []),
      [LOOP.rates]: vector(rates),
      ...(isCounted ? { [LOOP.counts]: vector(counts) } : {}),
      [LOOP.limit]: scalar(limit),
    });
    return {
      last: named(this.#carried, outputs, LOOP.last),
      before: named(this.#carried, outputs, LOOP.before),
      earlier: named(this.#values, outputs, LOOP.earlier),
      losses: [...dataOf(outputs[LOOP.losses] as Tensor)],
    };
  }
}
