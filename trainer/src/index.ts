export type { DeviceBackend, DeviceOptions } from './backends/device-backend.js';
export { BackendUnavailableError, DeviceError } from './backends/errors.js';
export { type BackendName, backendNames, openBackend } from './backends/open.js';
export { type OrtOptions, type OrtProvider, openOrtBackend, ortBackend } from './backends/ort.js';
export {
  type Choice,
  chooseBackend,
  type PassedOver,
  type Probe,
  type ProbeOptions,
  probeBackend,
} from './backends/probe.js';
export { type Importer, openTfjsBackend, type TfjsName, tfjsNames } from './backends/tfjs/open.js';
export { randomFeeds, TRIAL_TOLERANCE, type Trial, tryMetaGradient } from './backends/trial.js';
export {
  type BenchBackend,
  type BenchBackendName,
  benchBackends,
  openBenchBackend,
} from './bench/backends.js';
export {
  type BenchChange,
  type BenchComparison,
  compareBenches,
  type TimeChange,
} from './bench/compare.js';
export { comparePeer, machineDifferences, type PeerComparison } from './bench/compare-peer.js';
export { type Floor, openFloor, productsGraph } from './bench/floor.js';
export { type Drawn, drawTasks, type MeasureOptions, measureBundle, type Row } from './bench/measure-bundle.js';
export { measureStream, type StreamResult, type StreamRow, type StreamShape } from './bench/measure-stream.js';
export { type MemoryUse, measureMemory, memoryForStep } from './bench/memory.js';
export {
  PEER_SCHEMA,
  type PeerRecord,
  type PeerTask,
  peerTaskText,
  readPeer,
  type TimedTask,
  timedTaskOf,
} from './bench/peer-record.js';
export { type PeerTaskOptions, writePeerTask } from './bench/peer-task.js';
export { BenchError } from './bench/read-by-schema.js';
export {
  BENCH_SCHEMA,
  type BenchRecord,
  type BenchResult,
  readBench,
  thisMachine,
  writeBench,
} from './bench/record.js';
export { type InterimRow, type MeasuredRow, pairedDifference } from './bench/row-outcomes.js';
export {
  type Contender,
  lossesOf,
  movesEverything,
  noiseExamples,
  timePatterns,
  WARM_UP,
} from './bench/time-patterns.js';
export { ExportError, writeBundle } from './bundle/folder.js';
export { migrateBundle } from './bundle/migrate.js';
export { compileModel } from './compile/compile-model.js';
export type { CompileOptions, CompileReport, PatternReport } from './compile/compile-options.js';
export { numberDuplicates, parseLabels } from './compile/labels.js';
export { CompileError } from './compile/read/compile-error.js';
export type { ModelParameter } from './compile/read/model-parameters.js';
export type { Section } from './compile/read/network-sections.js';
export type { SourceHead } from './compile/read/read-head.js';
export { type ReadModelOptions, readModel, type SourceModel } from './compile/read/read-model.js';
export { type CifarOptions, cifarPreprocessing, loadCifar, openCifar } from './data/cifar.js';
export { findSplitFolders, isPathFile } from './data/class-lists.js';
export { DataError, type Dataset, type ImageClass, type SplitName } from './data/dataset.js';
export { parseDomains, resizedDomains } from './data/domains.js';
export { type DrawnImage, drawnImages, type EpisodeShape } from './data/draw.js';
export { type FileClass, type ImageFiles, leaveOutCorrupt } from './data/image-files.js';
export {
  type CountedClasses,
  countImages,
  type ImageFolderOptions,
  loadImageFolders,
  openImageFolder,
} from './data/image-folders.js';
export { findSplitFiles } from './data/label-files.js';
export { loadOmniglot, omniglotPreprocessing, openOmniglot } from './data/omniglot.js';
export { openPackedOmniglot, packOmniglot } from './data/packed-omniglot.js';
export { generatorFor, type Random } from './data/random.js';
export { isZip, unpackZip } from './data/unpack-zip.js';
export { type EmojiData, type EmojiOptions, makeEmojiData } from './emoji/make-data.js';
export type { EmojiFolder } from './emoji/plan.js';
export { type BundleOptions, buildBundle, type ExportOptions, exportBundle } from './export/export.js';
export {
  buildPatternGraphs,
  type PatternGraphs,
  type PatternParts,
} from './export/pattern-graphs.js';
export {
  exportObstacles,
  layerPattern,
  layersOf,
  type PatternSpec,
  patternParts,
  patternsOf,
  viewsPattern,
} from './export/patterns.js';
export { nearbyViews, type Shift, type View, type Zoom } from './export/views.js';
export { timeOn } from './meta/budget.js';
export { modelRunConfigOf } from './meta/checkpoint.js';
export { type EncodedDomain, openDomain } from './meta/domain.js';
export { type ExportModelOptions, exportModelRun } from './meta/export-model.js';
export { modelGraphs, prefixKey } from './meta/model-graphs.js';
export { type ModelFile, type ModelRun, newModelRun, openModelRun } from './meta/open-run.js';
export { openPrefix } from './meta/prefix.js';
export { type ModelMetricsLine, readModelRun, type SavedModelRun } from './meta/run-folder.js';
export { type ModelTrainingProgress, trainModel } from './meta/train-model.js';
export { backboneOfModel } from './network/model-backbone.js';
export type { PatternWeight } from './pattern/masked-weight.js';
export type { CalibrationSource } from './quantize/calibration.js';
export { type QuantizedPattern, QuantizeError, type QuantizeOptions } from './quantize/quantize-draft.js';
export { type RangeMethod, rangeMethods, seenActivations } from './quantize/seen-activations.js';
export { type ChoiceOptions, chooseLayerPattern } from './search/choose.js';
export { layerSubsets, type MeasurePatternsOptions, measurePatterns } from './search/measure-patterns.js';
export {
  type MeasuredPattern,
  measuredSoFar,
  type PatternResult,
  readSearch,
  SEARCH_SCHEMA,
  SearchError,
  type SearchOutcome,
  type SearchRecord,
  type SearchSettings,
  writeSearch,
} from './search/record.js';
export { type Interval, meanInterval, median, quantile } from './statistics.js';
export { type InnerParameter, type MaskGranularity, maskGranularities } from './task/inner-parameters.js';
export {
  type BundledNormalization,
  bundledNormalizations,
  type NormalizationMode,
  type NormalizationName,
  normalizationNames,
  normalizations,
} from './task/normalizations.js';
export {
  anil,
  boil,
  maml,
  metaSgd,
  type Rule,
  rules,
  sparseMaml,
  sparseReluMaml,
} from './task/rules.js';
export {
  buildTask,
  innerParameters,
  type MetaParameters,
  metaParameters,
  STEP_WEIGHTS,
  type TaskSettings,
} from './task/task-graph.js';
export { metaGradientGraph, taskBatchGraph } from './task/training-graphs.js';
export { type AdaptationTrace, traceAdaptation } from './training/adaptation-trace.js';
export { checkImages } from './training/check-images.js';
export { checkTasks } from './training/check-tasks.js';
export { type Checkpoint, CheckpointError, loadCheckpoint, saveCheckpoint } from './training/checkpoint.js';
export {
  backboneOf,
  modelOf,
  type RunConfig,
  runConfigSchema,
  taskSettings,
  trainsOnValidation,
} from './training/config.js';
export { accuracyOf, type EvaluateTasksOptions, evaluateTasks } from './training/evaluate-tasks.js';
export { type ExamplePrediction, predictExamples } from './training/example-predictions.js';
export { fitTasks, type TaskSizes } from './training/fit-tasks.js';
export { DivergedError, type WentBack } from './training/last-good.js';
export { frozenShare, masksOf, type WeightMask } from './training/masks.js';
export { type MetricsFile, openMetrics } from './training/metrics.js';
export { newRun, resumeFrom } from './training/run.js';
export { type MetricsLine, RunError, readRun } from './training/run-folder.js';
export { initialState, type TrainingState } from './training/state.js';
export { type TrainingProgress, train } from './training/train.js';
