import type { Bundle } from '@whet/runtime';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { adaptHandler } from './adapt.js';
import { healthHandler, modelsHandler, profileHandler } from './info.js';
import { defaultLimits, type Limits } from './limits.js';
import { type PageOptions, pageRouter } from './page.js';
import { predictHandler } from './predict.js';
import { Problem, show, toProblem } from './problems.js';
import type { ProfileStore } from './profile-store.js';
import type { Service } from './service.js';

export interface AppOptions {
  /** Bundles by name; the first is used where a request names none. */
  readonly bundles: ReadonlyMap<string, Bundle>;
  readonly store: ProfileStore;
  readonly limits?: Partial<Limits>;
  /** The page at `/`; there is none when absent. */
  readonly page?: PageOptions | undefined;
  /** The version that `/health` tells. */
  readonly version: string;
  /** Told of every error that is the server's own fault (status 500); the client learns nothing of it. */
  readonly onError?: (error: unknown) => void;
}

/**
 * The HTTP service as an Express application that does not listen. Throws a RangeError where there is no bundle.
 */
export function createApp({ bundles, store, version, limits, page, onError }: AppOptions): Express {
  if (bundles.size === 0) throw new RangeError('bundles: expected at least one bundle, got none');
  const service: Service = { bundles, store, version, limits: { ...defaultLimits, ...limits } };
  const app = express().disable('x-powered-by');
  app.post('/adapt', adaptHandler(service)).all('/adapt', methodNotAllowed('POST'));
  app.post('/predict', predictHandler(service)).all('/predict', methodNotAllowed('POST'));
  app.get('/health', healthHandler(service)).all('/health', methodNotAllowed('GET, HEAD'));
  app.get('/models', modelsHandler(service)).all('/models', methodNotAllowed('GET, HEAD'));
  app.get('/profiles/:id', profileHandler(service)).all('/profiles/:id', methodNotAllowed('GET, HEAD'));
  if (page) app.use(pageRouter(page));
  app.use(notFound);
  app.use(answerProblem(onError));
  return app;
}

function methodNotAllowed(allow: string): RequestHandler {
  return (request, response) => {
    if (request.method === 'OPTIONS') {
      response.set('Allow', `${allow}, OPTIONS`).status(204).end();
      return;
    }
    throw new Problem('method-not-allowed', 'method', `expected ${allow}, got ${request.method}`, { Allow: allow });
  };
}

const notFound: RequestHandler = (request) => {
  const expected = 'POST /adapt, POST /predict, GET /health, GET /models or GET /profiles/:id';
  throw new Problem('not-found', 'path', `expected ${expected}, got ${request.method} ${show(request.path)}`);
};

/** The one place that writes refusals. Express knows an error handler by its four parameters. */
function answerProblem(onError: AppOptions['onError']): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    // Nobody is left to answer, or the answer is half out: what remains is to end the connection.
    if (response.headersSent || response.destroyed || request.socket.destroyed) {
      request.socket.destroy();
      return;
    }
    const problem = toProblem(error);
    if (problem.kind === 'internal-error') onError?.(error);
    response
      .status(problem.status)
      .set({ ...problem.headers, 'Content-Type': 'application/problem+json' })
      .send(JSON.stringify(problem.toBody()));
  };
}
