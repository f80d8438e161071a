import type { Bundle } from '@whet/runtime';
import type { RequestHandler } from 'express';
import { findProfile, type Service } from './service.js';

/** `GET /health` */
export function healthHandler({ bundles, store, version }: Service): RequestHandler {
  const started = performance.now();
  return async (_request, response) => {
    const uptime = Math.round(performance.now() - started) / 1000;
    response.json({
      status: 'ok',
      version,
      uptime,
      models: [...bundles.keys()],
      profiles: (await store.usage()).profiles,
    });
  };
}

/** `GET /models`: what the bundles can do, as their manifests say it. */
export function modelsHandler({ bundles }: Service): RequestHandler {
  const models = [...bundles].map(([name, bundle]) => describe(name, bundle));
  return (_request, response) => {
    response.json({ models });
  };
}

/** `GET /profiles/:id`: what is known of a profile, without its values. */
export function profileHandler(service: Service): RequestHandler<{ id: string }> {
  return async (request, response) => {
    const { id } = request.params;
    const { model, pattern, classes, examples, bytes, created } = await findProfile(service, id);
    // `fromEntries` defines members, so a class may be called `__proto__`.
    const counts = Object.fromEntries(classes.map((name, i) => [name, examples[i]]));
    response.json({ profile: id, model, pattern, classes, examples: counts, bytes: bytes.byteLength, created });
  };
}

function describe(name: string, { manifest, digest }: Bundle) {
  const { version, description, preprocessing, normalization, head, labels, limits, defaultPattern } = manifest;
  const patterns = Object.entries(manifest.patterns).map(([key, { graphs: _, init: __, ...pattern }]) => {
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
