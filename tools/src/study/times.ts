import type { Preprocessing } from '@whet/runtime/images';
import { loadBundleFiles } from '@whet/runtime/node';
import {
  buildBundle,
  type Checkpoint,
  innerParameters,
  layersOf,
  noiseExamples,
  type PatternSpec,
  type Rule,
  taskSettings,
} from '@whet/trainer';
import { type TimedRun, timeInTurns } from '../bench/harness.js';

/** A trained method, ready to be exported: what adapts, and by how many inner steps. */
export interface Exportable {
  readonly method: string;
  readonly checkpoint: Checkpoint;
  readonly rule: Rule;
  readonly steps: number;
}

/** The pattern that moves what a rule moves. */
function patternOf(checkpoint: Checkpoint, { mask, moves, name }: Rule): PatternSpec {
  const moving = new Set(
    innerParameters(taskSettings(checkpoint.config, 1))
      .filter(moves)
      .map(({ layer }) => layer),
  );
  const layers = layersOf(checkpoint).filter((layer) => moving.has(layer));
  return { name: 'method', description: `As ${name} adapts.`, layers: mask ? 'trained' : layers };
}

/** Median milliseconds to adapt each method's bundle on onnxruntime-node, encoding included, by method and shape; of images as they were trained on. */
export async function timeMethods(
  methods: readonly Exportable[],
  preprocessing: Preprocessing,
  shapes: readonly { readonly ways: number; readonly shots: number }[],
  rounds: number,
): Promise<Map<string, number[]>> {
  const bundles = await Promise.all(
    methods.map(async ({ method, checkpoint, rule, steps }) => {
      const { contents } = buildBundle({
        checkpoint,
        patterns: [patternOf(checkpoint, rule)],
        name: 'study',
        version: '0.0.0',
        description: method,
        preprocessing,
      });
      return { method, steps, bundle: await loadBundleFiles(contents) };
    }),
  );
  const times = new Map(methods.map(({ method }): [string, number[]] => [method, []]));
  for (const { ways, shots } of shapes) {
    const contenders = bundles.map(({ method, bundle, steps }): TimedRun => {
      const examples = noiseExamples(bundle, ways, shots);
      return { name: method, run: () => bundle.adapt(examples, { steps, rate: 1e-4 }) };
    });
    for (const [method, milliseconds] of await timeInTurns(contenders, rounds)) times.get(method)?.push(milliseconds);
  }
  for (const { bundle } of bundles) await bundle.release();
  return times;
}
