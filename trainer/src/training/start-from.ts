import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Backbone } from '@whet/models';
import { isArchive, Weights } from '@whet/runtime/format';
import { readBundle } from '@whet/runtime/node';
import * as z from 'zod';
import { metaParameters } from '../task/task-graph.js';
import { adamState } from './adam.js';
import { type Checkpoint, CheckpointError, loadCheckpoint } from './checkpoint.js';
import { backboneOf, type RunConfig, runConfigSchema, taskSettings } from './config.js';
import { allSpecs, initialState, type PopulationMoments, type TrainingState } from './state.js';

/** Weights and moments to start a run from, by name, and the network they are of. */
export interface Start {
  readonly model: RunConfig['model'];
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly moments: ReadonlyMap<string, PopulationMoments>;
}

/**
 * Reads a checkpoint, or a bundle that was exported from one: the weights of its pattern in which all of them move. A
 * bundle does not keep masks, rates and population moments, nor the scale of a prototype head, which all start anew;
 * one whose head has learned weights is refused. Throws {@link CheckpointError} naming the path and what does not fit.
 */
export async function loadStart(path: string, backbone?: Backbone): Promise<Start> {
  const isFolder = await stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  );
  if (isFolder || isArchive(path)) return loadBundleStart(path, backbone);
  return startOf(await loadCheckpoint(path, backbone));
}

export function startOf({ config, state }: Checkpoint): Start {
  const weights = new Map([...state.parameters].map(([name, { value }]) => [name, value]));
  return { model: config.model, weights, moments: state.moments };
}

async function loadBundleStart(place: string, backbone: Backbone | undefined): Promise<Start> {
  try {
    const { manifest, contents } = await readBundle(place);
    const { provenance, patterns, weights: file } = manifest;
    const settings = (provenance as { config?: unknown } | undefined)?.config;
    if (!settings) throw new Error('expected a bundle of `whet export`, whose manifest has the settings of its run');
    const parsed = runConfigSchema.safeParse(settings);
    if (!parsed.success)
      throw new Error(`settings of its run: ${z.prettifyError(parsed.error)}`, { cause: parsed.error });
    const config = parsed.data;
    if (!['prototype', 'cosine'].includes(config.head)) {
      throw new Error(`a bundle does not keep what a ${config.head} head learned; start from a checkpoint`);
    }
    const { parameters } = backboneOf(config, backbone);
    const whole = Object.values(patterns).find(({ moving }) =>
      parameters.every(({ name }) => moving.some((each) => each.name === name && each.moving === each.entries)),
    );
    if (!whole) throw new Error('expected a pattern in which all weights of the network move');
    const shared = new Weights(join(place, file), file, contents.get(file) as Uint8Array);
    const weights = new Map(Object.entries(whole.values).map(([name, value]) => [name, shared.value(value).data]));
    return { model: config.model, weights, moments: new Map() };
  } catch (cause) {
    throw new CheckpointError(`bundle "${place}": ${(cause as Error).message}`, { cause });
  }
}

/**
 * A fresh state for `config` whose weights and moments are those of another run of the same architecture; what its
 * rule did not learn (mask logits) is drawn anew, and the optimizer starts over. With `layers` only those are taken
 * over, which have to be alike in both networks, and the others may be of another size.
 */
export function startFrom(
  config: RunConfig,
  start: Start,
  layers?: readonly string[],
  backbone?: Backbone,
): TrainingState {
  const state = initialState(config, backbone);
  if (layers) checkLayers(config, start, layers, backbone);
  else if (JSON.stringify(config.model) !== JSON.stringify(start.model)) {
    const [expected, got] = [config.model, start.model].map((model) => JSON.stringify(model));
    throw new CheckpointError(`what to start from has another architecture: expected ${expected}, got ${got}`);
  }
  const layerOf = new Map(allSpecs(config, backbone).map(({ name, layer }) => [name, layer]));
  for (const { name, layer = layerOf.get(`${name}.weight`) } of backboneOf(config, backbone).normalizations) {
    if (layer !== undefined) layerOf.set(name, layer);
  }
  const isTaken = (name: string) => !layers || layers.includes(layerOf.get(name) as string);
  const parameters = new Map(
    [...state.parameters].map(([name, fresh]) => {
      const known = isTaken(name) ? start.weights.get(name) : undefined;
      return [name, known && known.length === fresh.value.length ? adamState(known.slice()) : fresh];
    }),
  );
  const moments = new Map(
    [...state.moments].map(([name, fresh]) => [name, (isTaken(name) && start.moments.get(name)) || fresh]),
  );
  return { ...state, parameters, moments };
}

/** Throws {@link CheckpointError} naming the first of `layers` that a network has not, or that differs between both. */
function checkLayers(config: RunConfig, start: Start, layers: readonly string[], given: Backbone | undefined): void {
  const settings = taskSettings(config, config.shots[0] as number, given);
  const { start: parameters } = metaParameters(settings);
  const known = [...settings.backbone.layers, 'head'];
  for (const layer of layers) {
    if (!known.includes(layer)) {
      throw new CheckpointError(`layer "${layer}": expected one of ${known.join(', ')}`);
    }
    for (const { name, shape } of parameters.filter((each) => each.layer === layer)) {
      const expected = shape.reduce((a, b) => a * b, 1);
      const got = start.weights.get(name)?.length;
      if (got === expected) continue;
      throw new CheckpointError(
        `layer "${layer}": expected "${name}" of [${shape.join(', ')}], ${expected} numbers, got ${got ?? 'none'}`,
      );
    }
  }
}
