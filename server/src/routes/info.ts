import type { HealthAnswer } from '@whet/runtime/client';
import { AUTO } from '@whet/runtime/format';
import type { RequestHandler } from 'express';
import type { Model } from '../engine/engine.js';
import { Problem } from '../problems.js';
import type { Service } from '../service.js';

/** `GET /health` */
export function healthHandler(service: Service): RequestHandler {
  const started = performance.now();
  return async (_request, response) => {
    const uptime = Math.round(performance.now() - started) / 1000;
    const models = [...service.workload.engine.models.keys()];
    const answer: HealthAnswer = { status: 'ok', version: service.version, uptime, models };
    // How many profiles others have is nobody's business where users are told apart.
    response.json(service.auth === 'off' ? { ...answer, profiles: (await service.store.usage()).profiles } : answer);
  };
}

/** `GET /health/live`: whether the process answers at all. */
export const liveHandler: RequestHandler = (_request, response) => {
  response.json({ status: 'live' });
};

/** `GET /health/ready`: whether requests should be sent here. */
export function readyHandler(service: Service): RequestHandler {
  return async (_request, response) => {
    if (service.draining) {
      throw new Problem('unavailable', 'request', 'expected a service that stays, got one that is about to end');
    }
    await service.store.check();
    response.json({ status: 'ready' });
  };
}

/** `GET /models`: what the bundles can do, as their manifests say it. */
export function modelsHandler(service: Service): RequestHandler {
  return (_request, response) => {
    response.json({ models: [...service.workload.engine.models.values()].map(describe) });
  };
}

function describe({ name, manifest, digest }: Model) {
  const { version, description, preprocessing, normalization, head, labels, limits } = manifest;
  const defaultPattern = manifest.auto ? AUTO : manifest.defaultPattern;
  const patterns = Object.entries(manifest.patterns).map(([key, { graphs: _, values: __, ...pattern }]) => {
    return [key, { default: key === defaultPattern, ...pattern }];
  });
  return {
    name,
    version,
    description,
    digest,
    preprocessing,
    normalization,
    head,
    ...(labels ? { labels } : {}),
    limits,
    defaultPattern,
    patterns: Object.fromEntries(patterns),
    measurements: manifest.measurements,
  };
}
