export type {
  Backbone,
  Initializer,
  MomentSource,
  Moments,
  Normalization,
  NormalizeBy,
  ParameterSpec,
} from './backbone.js';
export { bundlesDirectory, DEFAULT_BUNDLES, OMNIGLOT_BUNDLE, PHOTOS_BUNDLE } from './bundles.js';
export { type Conv4Settings, conv4, conv4Defaults } from './conv4.js';
export { grownHead } from './grown-head.js';
export {
  cosineHead,
  crossEntropy,
  type HeadKind,
  type HeadWeights,
  headFeatures,
  headLogits,
  headParameters,
  leaveOneOutLogits,
  levelDirections,
  prototypeHead,
  sharedHead,
} from './head.js';
export { batchMoments, imageMoments, momentsBy, NORMALIZATION_EPSILON, normalize } from './normalization.js';
export { type ResNet12Settings, resnet12, resnet12Defaults } from './resnet12.js';
export { type RidgeHeads, ridgeHeads } from './ridge.js';
