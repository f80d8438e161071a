import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluate, makeTensor, nodesOf } from '@whet/compiler';
import { loadBundle } from '@whet/runtime/node';
import { randomImages, supportCheckpoint, TINY_SIZE, tinyCheckpoint } from '@whet/tools/bundles/tiny-bundle';
import {
  buildPatternGraphs,
  exportBundle,
  nearbyViews,
  omniglotPreprocessing,
  patternParts,
  patternsOf,
  viewsPattern,
} from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';

const checkpoints = [
  ['population', () => tinyCheckpoint()],
  ['layer', () => tinyCheckpoint('prototype', { normalization: 'layer' })],
] as const;

/** Moved by whole pixels, the border repeated. */
function moved(image: Float32Array, right: number, down: number): Float32Array {
  const inside = (at: number) => Math.min(Math.max(at, 0), TINY_SIZE - 1);
  return image.map((_, i) => {
    const [x, y] = [i % TINY_SIZE, Math.floor(i / TINY_SIZE)];
    return image[inside(y - down) * TINY_SIZE + inside(x - right)] as number;
  });
}

/** Drawn larger about its centre, bilinear, the border repeated. */
function zoomedBy(image: Float32Array, zoom: number): Float64Array {
  const last = TINY_SIZE - 1;
  const read = (at: number) => Math.min(Math.max((at - last / 2) / zoom + last / 2, 0), last);
  const pixel = (x: number, y: number) => image[Math.min(y, last) * TINY_SIZE + Math.min(x, last)] as number;
  return Float64Array.from(image, (_, i) => {
    const [x, y] = [read(i % TINY_SIZE), read(Math.floor(i / TINY_SIZE))];
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const row = (at: number) => pixel(left, at) + (pixel(left + 1, at) - pixel(left, at)) * (x - left);
    return row(top) + (row(top + 1) - row(top)) * (y - top);
  });
}

describe('a pattern of several views', () => {
  it.each(checkpoints)('has the mean features of an image and its views, %s moments', (_, checkpoint) => {
    const head = patternsOf(checkpoint()).find(({ name }) => name === 'head') ?? viewsPattern;
    const encode = (spec: typeof head, images: readonly (Float32Array | Float64Array)[]) => {
      const graph = buildPatternGraphs(patternParts(checkpoint(), spec)).encode;
      if (!graph) throw new Error('nothing is frozen');
      const data = Float64Array.from(images.flatMap((image) => [...image]));
      const feeds = new Map([['images', makeTensor([images.length, 1, TINY_SIZE, TINY_SIZE], data)]]);
      return [...(evaluate(graph, feeds).get('features')?.data ?? [])].map(Number);
    };
    const images = randomImages('views', 3);
    const views = [
      images,
      ...nearbyViews.map((view) =>
        images.map((image) => ('zoom' in view ? zoomedBy(image, view.zoom) : moved(image, view.right, view.down))),
      ),
    ].map((view) => encode(head, view));
    const mean = views[0]?.map((_, i) => views.reduce((sum, view) => sum + (view[i] as number), 0) / views.length);
    expect(relativeError(encode(viewsPattern, images), mean ?? [])).toBeLessThan(1e-12);
    expect(relativeError(encode(head, images), mean ?? [])).toBeGreaterThan(1e-3);
  });

  it('adapts and predicts like any other', async () => {
    const directory = join(await mkdtemp(join(tmpdir(), 'whet-views-')), 'views');
    await exportBundle({
      checkpoint: tinyCheckpoint(),
      directory,
      name: 'views',
      version: '0.0.1',
      description: 'Random weights, for tests.',
      preprocessing: omniglotPreprocessing(TINY_SIZE),
      patterns: [viewsPattern],
      defaultPattern: viewsPattern.name,
    });
    const bundle = await loadBundle(directory, { threads: 1 });
    const images = randomImages('classes', 4);
    const { profile } = await bundle.adapt(images.map((image, i) => ({ label: `class ${i}`, image })));
    const labels = (await bundle.predict(profile, images)).map(({ label }) => label);
    await bundle.release();
    expect(labels).toEqual(['class 0', 'class 1', 'class 2', 'class 3']);
  });

  it('holds the network once, however many views go through it', () => {
    const checkpoint = tinyCheckpoint('prototype', { normalization: 'layer' });
    const { encode } = buildPatternGraphs(patternParts(checkpoint, viewsPattern));
    const convolutions = nodesOf(encode?.outputs.values() ?? []).filter(({ op }) => op === 'Conv');
    const weights = new Set(convolutions.map(({ inputs }) => inputs[1]));
    expect(convolutions).toHaveLength((1 + nearbyViews.length) * weights.size);
    expect(weights.size).toBe(2);
  });

  it('needs a frozen network whose moments are not the examples’', () => {
    const spec = { ...viewsPattern, layers: ['block2', 'head'] };
    expect(() => patternParts(tinyCheckpoint(), spec)).toThrow(
      'pattern "head-views": expected views with moments that are not the examples\', and the head alone moving, got ' +
        'population moments and block2, head',
    );
    expect(() => patternParts(supportCheckpoint(), viewsPattern)).toThrow('got support moments and head');
  });
});
