export { type AppOptions, createApp } from './app.js';
export { type CurlImages, curlExamples } from './curl.js';
export { defaultLimits, type Limits } from './limits.js';
export { type RunningServer, type ServerOptions, startServer } from './listen.js';
export type { ProblemBody, ProblemKind } from './problems.js';
export {
  KeyNameError,
  type KeyRecord,
  type KeyStore,
  type Page,
  type ProfileDraft,
  type ProfileInfo,
  type ProfileRecord,
  type ProfileState,
  type ProfileStore,
  StoreFullError,
  type StoreLimits,
  StoreUnavailableError,
  type Usage,
  VersionConflictError,
} from './stores/contract.js';
export { createMemoryStore } from './stores/memory.js';
export { openStore } from './stores/open.js';
