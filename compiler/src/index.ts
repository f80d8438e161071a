export { type Backend, type Executable, referenceBackend } from './backend.js';
export { batchGraph } from './batching/batch-graph.js';
export { copyInputs, GraphBuilder, inline } from './builder.js';
export { type GraphCost, graphCost } from './cost.js';
export { evaluate } from './evaluate.js';
export { bindFeeds, type Tensors } from './feeds.js';
export { type MatrixProduct, matrixProducts } from './floor.js';
export { gradients } from './gradients.js';
export { type Graph, GraphError, type Node, nodesOf, staticShape, type Value } from './graph.js';
export { fromHalf, halvesOf, toHalf } from './half.js';
export { lowerForCpu } from './lowering/lower-for-cpu.js';
export { lowerForGpu } from './lowering/lower-for-gpu.js';
export { turnedConvolution } from './lowering/transposed.js';
export { weightGradientForms } from './lowering/weight-gradient.js';
export { anyBatch } from './onnx/any-batch.js';
export { countNodes } from './onnx/budget.js';
export { type Cut, cutOnnx, exposeOnnx } from './onnx/cut.js';
export { dequantizeOnnx } from './onnx/dequantize.js';
export { listProblems, OnnxError, type OnnxProblem } from './onnx/errors.js';
export { expandOnnx } from './onnx/expand/expand.js';
export {
  type ExternalWeight,
  placesMask,
  type SplitModel,
  splitWeights,
  type WeightPlace,
} from './onnx/external-weights.js';
export { type OnnxVersions, withVersions } from './onnx/opset.js';
export { orderNodes, readsOf } from './onnx/order.js';
export { withPlanarInput } from './onnx/planar-input.js';
export {
  decodeModel,
  firstOutput,
  type OnnxAttribute,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
  readInnerGraph,
} from './onnx/proto.js';
export {
  type Activation,
  planQuantization,
  type QuantizableLayer,
  type QuantizationPlan,
  quantizeOnnx,
  type Range,
} from './onnx/quantize.js';
export { READ_OPSETS, type ReadOptions, readableOperators, readOnnx } from './onnx/reading/read.js';
export { reencodeOnnx } from './onnx/reencode.js';
export { dataTypes, onnxMessage } from './onnx/schema.js';
export { dataTypeName, decodeTensor, type ExternalReader } from './onnx/tensors.js';
export { encodeOnnx } from './onnx/write.js';
export { type AttributeKind, attributeKinds } from './operators/attribute-kinds.js';
export type { OperatorAttributes, OperatorName } from './operators/attributes.js';
export { matrixTranspose } from './operators/linear-algebra.js';
export { expandLike, pad, reshape, shapeOf, slice } from './operators/shape-helpers.js';
export { operators } from './operators/table.js';
export { mergeCommonSubexpressions } from './passes/common-subexpressions.js';
export { foldConstants, foldConstantsUpTo } from './passes/fold-constants.js';
export { foldScales } from './passes/fold-scales.js';
export { type BoundaryOptions, frozenBoundary } from './passes/frozen-boundary.js';
export { gatherSlices } from './passes/gather-slices.js';
export { narrow } from './passes/narrow.js';
export type { Pass } from './passes/pass.js';
export { removeUnusedInputs } from './passes/remove-unused-inputs.js';
export { runPasses } from './passes/run-passes.js';
export { simplify } from './passes/simplify.js';
export { printGraph } from './print.js';
export { type StoredArray, storedArray } from './stored-array.js';
export * from './tensor.js';
export { verifyGraph } from './verify-graph.js';
