import type { Graph } from '../graph.js';
import { eraseSteering } from './erase-steering.js';
import { lowerGroups } from './grouped-convolution.js';
import { lowerWith } from './rewrite-nodes.js';
import { weightGradientsForGpu } from './weight-gradient.js';

/**
 * The graph in ONNX's operators alone, without convolutions in groups, which many tasks are: GPUs run those one by one,
 * in small kernels or not at all, and batches of matrix products well. Pooling and transposed convolutions stay.
 */
export const lowerForGpu: (graph: Graph) => Graph = lowerWith(lowerGroups, weightGradientsForGpu, eraseSteering);
