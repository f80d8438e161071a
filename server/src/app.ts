import type { Bundle } from '@whet/runtime';
import cors from 'cors';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import type { Logger } from 'pino';
import { type Engine, EngineError } from './engine/engine.js';
import { localEngine } from './engine/local.js';
import { authenticate, limitRate, operatorsOnly } from './guard/auth.js';
import { refuseOtherHosts } from './guard/hosts.js';
import { observe } from './guard/observe.js';
import { refuseLongBodies, sendBeforeEnd } from './guard/rest-of-body.js';
import { refuseOtherSites } from './guard/sites.js';
import { consistent, defaultLimits, type Limits } from './limits.js';
import { createMetrics, type Metrics, metricsHandler } from './metrics.js';
import { Problem, show, toProblem } from './problems.js';
import { Decoding } from './request/decoding.js';
import { HeldBodies } from './request/held-bodies.js';
import { JsonReader } from './request/json-reader.js';
import { Pace } from './request/pace.js';
import { adaptHandler } from './routes/adapt.js';
import { documentHandlers } from './routes/documents.js';
import { healthHandler, liveHandler, modelsHandler, readyHandler } from './routes/info.js';
import { type PageOptions, pageRouter } from './routes/page.js';
import { predictHandler } from './routes/predict.js';
import {
  deleteHandler,
  exportHandler,
  importHandler,
  listHandler,
  profileHandler,
  replaceHandler,
} from './routes/profiles.js';
import { FileError } from './routes/static-files.js';
import type { Service } from './service.js';
import { isShortage } from './shortage.js';
import { type ProfileStore, StoreUnavailableError } from './stores/contract.js';
import { defaultWork, type WorkOptions } from './work/options.js';
import { Workload } from './work/workload.js';

export interface AppOptions {
  /** Bundles by name, to run in this thread; the first is used where a request names none. */
  readonly bundles?: ReadonlyMap<string, Bundle>;
  /** Instead of `bundles`: what adapts and predicts. */
  readonly engine?: Engine;
  readonly store: ProfileStore;
  readonly limits?: Partial<Limits>;
  readonly work?: Partial<WorkOptions>;
  /** Whether requests need an API key of the store; `off` when absent. */
  readonly auth?: 'off' | 'keys';
  /** Requests a minute of each key, or of each address without keys; 0, no limit, when absent. */
  readonly rateLimit?: number;
  /** Origins whose pages may call; none when absent. */
  readonly corsOrigins?: readonly string[];
  /** Where no keys are asked for: names besides addresses and this machine's that requests may be for; none when absent. */
  readonly hostNames?: readonly string[];
  /** Proxies in front, whose word on a client's address counts; 0 when absent. */
  readonly proxies?: number;
  /** Whether metrics are of this process too: memory, processor, event loop. */
  readonly processMetrics?: boolean;
  /** The page at `/`; there is none when absent. */
  readonly page?: PageOptions | undefined;
  /** The version that `/health` tells. */
  readonly version: string;
  readonly logger?: Logger;
  /** Told of every error that is the server's own fault (status 500, or 503 where the engine ended); the client learns nothing of it. */
  readonly onError?: (error: unknown) => void;
}

/**
 * The HTTP service as an Express application that does not listen. Throws a RangeError where there is no bundle.
 */
export function createApp(options: AppOptions): Express {
  return appOf(createService(options), options);
}

/** What an application works with. Throws a RangeError where there is no bundle. */
export function createService(options: AppOptions): Service {
  const { bundles, store, version, limits, auth = 'off', processMetrics, onError, logger } = options;
  const engine = options.engine ?? localEngine(bundles ?? new Map());
  if (engine.models.size === 0) throw new RangeError('bundles: expected at least one bundle, got none');
  const all = consistent({ ...defaultLimits, ...limits });
  const metrics: Metrics = createMetrics(() => service, processMetrics);
  const service: Service = {
    workload: workloadOf(engine, options, metrics),
    draining: false,
    store,
    limits: all,
    held: new HeldBodies({ bytes: all.heldBytes, ownerBytes: Math.max(all.heldBytes / 2, all.bodyBytes) }),
    pace: new Pace(),
    json: new JsonReader(),
    decoding: new Decoding(all),
    version,
    auth,
    metrics,
    problemOf(error) {
      const problem = toProblem(error);
      if (problem.kind === 'internal-error' || error instanceof EngineError) {
        onError?.(error);
        logger?.error({ err: error }, 'fault');
      } else if (error instanceof FileError) logger?.warn({ err: error }, 'a file cannot be read');
      else if (isShortage(error)) logger?.warn({ err: error }, 'the system lacks something');
      else if (error instanceof StoreUnavailableError) logger?.warn({ err: error }, 'store');
      return problem;
    },
  };
  return service;
}

/** An engine with its queues. */
export function workloadOf(engine: Engine, { work }: Pick<AppOptions, 'work'>, metrics: Metrics): Workload {
  return new Workload(engine, { ...defaultWork, ...work }, metrics);
}

/** The application of a service. */
export function appOf(service: Service, options: AppOptions): Express {
  const { rateLimit = 0, corsOrigins = [], proxies = 0, logger, page } = options;
  const app = express().disable('x-powered-by').set('trust proxy', proxies).set('etag', false);
  app.use(observe(service, logger));
  // Pages are served over plain HTTP too: nothing of them may be asked for by HTTPS only.
  app.use(helmet({ contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } } }));
  app.use(refuseLongBodies, refuseOtherHosts(service, options));
  if (corsOrigins.length > 0) {
    const exposedHeaders = ['ETag', 'Location', 'Retry-After', 'Server-Timing'];
    app.use(cors({ origin: [...corsOrigins], exposedHeaders, preflightContinue: false }));
  }
  const documents = documentHandlers(service);
  // A key may have a limit of its own.
  const limits = service.auth === 'keys' || rateLimit > 0 ? [limitRate(rateLimit)] : [];
  const caller = [refuseOtherSites(service, options), authenticate(service), ...limits];
  const routes: Routes = {
    '/adapt': { post: [...caller, adaptHandler(service)] },
    '/predict': { post: [...caller, predictHandler(service)] },
    '/profiles': { get: [...caller, listHandler(service)], post: [...caller, importHandler(service)] },
    '/profiles/:id': {
      get: [...caller, profileHandler(service) as RequestHandler],
      put: [...caller, replaceHandler(service) as RequestHandler],
      delete: [...caller, deleteHandler(service) as RequestHandler],
    },
    '/profiles/:id/export': { get: [...caller, exportHandler(service) as RequestHandler] },
    '/models': { get: [...caller, modelsHandler(service)] },
    '/metrics': { get: [...caller, operatorsOnly(service), metricsHandler(service.metrics)] },
    '/health': { get: [healthHandler(service)] },
    '/health/live': { get: [liveHandler] },
    '/health/ready': { get: [readyHandler(service)] },
    '/openapi.json': { get: [documents.json] },
    '/docs': { get: [documents.page] },
  };
  for (const [path, handlers] of Object.entries(routes)) {
    const route = app.route(path);
    for (const method of Object.keys(handlers) as Method[]) route[method](...(handlers[method] ?? []));
    route.all(methodNotAllowed(Object.keys(handlers) as Method[]));
  }
  if (page) app.use(pageRouter(page));
  app.use(notFound(Object.keys(routes)));
  app.use(answerProblem(service));
  return app;
}

type Method = 'get' | 'post' | 'put' | 'delete';
type Routes = Readonly<Record<string, Partial<Record<Method, RequestHandler[]>>>>;

function methodNotAllowed(methods: readonly Method[]): RequestHandler {
  const allow = methods.flatMap((method) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()])).join(', ');
  return (request, response) => {
    if (request.method === 'OPTIONS') {
      response.set('Allow', `${allow}, OPTIONS`).status(204).end();
      return;
    }
    throw new Problem('method-not-allowed', 'method', `expected ${allow}, got ${request.method}`, { Allow: allow });
  };
}

function notFound(paths: readonly string[]): RequestHandler {
  const expected = `POST /adapt, POST /predict or another of ${paths.slice(2).join(', ')}`;
  return (request) => {
    throw new Problem('not-found', 'path', `expected ${expected}, got ${request.method} ${show(request.path)}`);
  };
}

/** The one place that writes refusals. Express knows an error handler by its four parameters. */
function answerProblem(service: Service): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    // Nobody is left to answer, or the answer is half out: what remains is to end the connection.
    if (response.headersSent || response.destroyed || request.socket.destroyed) {
      request.socket.destroy();
      return;
    }
    const problem = service.problemOf(error);
    response.status(problem.status).set({ ...problem.headers, 'Content-Type': 'application/problem+json' });
    sendBeforeEnd(request, response, JSON.stringify(problem.toBody()));
  };
}
