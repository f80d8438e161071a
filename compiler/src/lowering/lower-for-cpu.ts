import type { Graph } from '../graph.js';
import { depthwiseAsMatrices } from './depthwise.js';
import { eraseSteering } from './erase-steering.js';
import { poolByChannel } from './pool-by-channel.js';
import { lowerWith } from './rewrite-nodes.js';
import { transposedAsConvolution } from './transposed.js';
import { unitAxes } from './unit-axes.js';
import { weightGradientsForCpu } from './weight-gradient.js';

const products = [depthwiseAsMatrices, transposedAsConvolution, weightGradientsForCpu];

/** The part of {@link lowerForCpu} that decides what is multiplied and what is held; the rest is views. */
export const productsForCpu: (graph: Graph) => Graph = lowerWith(...products);

/**
 * The graph in ONNX's operators alone, in the forms that onnxruntime's CPU runs fastest: the files of a bundle are encoded
 * from these, and sessions on the CPU. GPUs have {@link lowerForGpu}.
 */
export const lowerForCpu: (graph: Graph) => Graph = lowerWith(...products, poolByChannel, unitAxes, eraseSteering);
