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

export interface StepsTaken {
  /** What steps change, after the last. */
  readonly carried: TensorFeeds;
  /** Before each; fewer than steps were asked for where the last one rose. */
  readonly losses: readonly number[];
}

const scalar = (value: number): Tensor => new Tensor('float32', Float32Array.of(value), []);
const vector = (values: readonly number[]): Tensor => new Tensor('float32', Float32Array.from(values), [values.length]);

/** The graph of a pattern's steps. */
export class StepGraph extends GraphSession {
  /** How many steps a run takes at most. */
  readonly most: number;
  readonly #carried: readonly string[];

  /** Several are one run where the sessions of `source` run loops. */
  constructor(
    source: BundleSource,
    path: string,
    model: Uint8Array,
    weights: ReadonlyMap<string, Uint8Array>,
    options: { readonly names: TensorNames; readonly small: boolean; readonly carried: readonly string[] },
  ) {
    const prepare = source.loops ? (bytes: Uint8Array) => loopModel(bytes, options.carried) : undefined;
    super(source, path, model, weights, { ...options, prepare });
    this.most = source.loops ? Number.POSITIVE_INFINITY : 1;
    this.#carried = options.carried;
  }

  /** Takes steps, of `most` at most, with what else the graph reads among `feeds`. */
  async take(feeds: TensorFeeds, from: TensorFeeds, { rates, counts, limit }: Steps): Promise<StepsTaken> {
    const given: Record<string, Tensor> = {};
    for (const name of this.inputNames) if (feeds[name]) given[name] = feeds[name];
    const isCounted = this.inputNames.includes('count');
    if (this.most === 1) {
      const count = isCounted ? { count: scalar(counts[0] as number) } : {};
      const outputs = await this.run({ ...given, ...count, ...from, rate: scalar(rates[0] as number) });
      const carried = Object.fromEntries(this.#carried.map((name) => [name, outputs[nextName(name)] as Tensor]));
      return { carried, losses: [...dataOf(outputs['loss'] as Tensor)] };
    }
    for (const name of this.#carried) given[LOOP.first(name)] = from[name] as Tensor;
    const outputs = await this.run({
      ...given,
      [LOOP.trips]: new Tensor('int64', BigInt64Array.of(BigInt(rates.length)), []),
      [LOOP.rates]: vector(rates),
      ...(isCounted ? { [LOOP.counts]: vector(counts) } : {}),
      [LOOP.limit]: scalar(limit),
    });
    const carried = Object.fromEntries(this.#carried.map((name) => [name, outputs[LOOP.last(name)] as Tensor]));
    return { carried, losses: [...dataOf(outputs[LOOP.losses] as Tensor)] };
  }
}
