import type { Graph } from '../graph.js';
import { depthwiseAsMatrices, type RunsOn } from './depthwise.js';
import { eraseSteering } from './erase-steering.js';
import { poolByChannel } from './pool-by-channel.js';
import { lowerWith } from './rewrite-nodes.js';
import { transposedAsConvolution } from './transposed.js';
import { unitAxes } from './unit-axes.js';
import { weightGradientsForCpu } from './weight-gradient.js';

const products = (runsOn: RunsOn) => [depthwiseAsMatrices(runsOn), transposedAsConvolution, weightGradientsForCpu];

/** The part of {@link lowerForCpu} that decides what is multiplied and what is held; the rest is views. */
export const productsForCpu: (graph: Graph) => Graph = lowerWith(...products('unknown'));

const lowerFor = {
  one: lowerWith(...products('one'), poolByChannel, unitAxes, eraseSteering),
  many: lowerWith(...products('many'), poolByChannel, unitAxes, eraseSteering),
};

/**
 * The graph in ONNX's operators alone, in the forms that onnxruntime's CPU runs fastest on one image, or on many: the files of a
 * bundle are encoded from these, and sessions on the CPU. GPUs have {@link lowerForGpu}.
 */
export const lowerForCpu = (graph: Graph, runsOn: keyof typeof lowerFor = 'one'): Graph => lowerFor[runsOn](graph);
