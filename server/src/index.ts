export { type AppOptions, createApp } from './app.js';
export { type CurlImages, curlExamples } from './curl.js';
export { defaultLimits, type Limits } from './limits.js';
export { type RunningServer, type ServerOptions, startServer } from './listen.js';
export type { PageOptions } from './page.js';
export type { ProblemBody, ProblemKind } from './problems.js';
export { createMemoryStore, type ProfileRecord, type ProfileStore } from './profile-store.js';
