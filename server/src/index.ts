export { type AppOptions, createApp } from './app.js';
export { type Config, ConfigError, maskConfig, readConfig } from './config.js';
export { type CurlImages, curlExamples } from './curl.js';
export type { AdaptedProfile, AdaptJob, Answer, Engine, Model, Query } from './engine/engine.js';
export { localEngine } from './engine/local.js';
export { type ThreadOptions, threadedEngine } from './engine/threads.js';
export { addKey, type NewKey } from './guard/auth.js';
export { defaultTimeouts, type Timeouts } from './guard/timeouts.js';
export { defaultLimits, type Limits } from './limits.js';
export { type RunningServer, type ServerOptions, startServer } from './listen.js';
export type { ProblemBody, ProblemKind } from './problems.js';
export type { PageFiles, PageOptions } from './routes/page.js';
export { type Serving, serve } from './serve.js';
export { maskAddress } from './stores/address.js';
export {
  KeyNameError,
  type KeyRecord,
  type KeyStore,
  type Page,
  type PlacedProfile,
  type ProfileDraft,
  type ProfileInfo,
  type ProfileRecord,
  type ProfileState,
  type ProfileStore,
  type StoreCounts,
  StoreDamagedError,
  StoreFullError,
  type StoreLimits,
  StoreUnavailableError,
  type Usage,
  VersionConflictError,
} from './stores/contract.js';
export { checkStore, copyStore } from './stores/copy.js';
export { createMemoryStore } from './stores/memory.js';
export { holdsStore, openStore } from './stores/open.js';
export { defaultWork, type WorkOptions } from './work/options.js';
