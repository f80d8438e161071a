import { randomUUID } from 'node:crypto';
import type { RequestHandler } from 'express';
import type { Logger } from 'pino';
import type { Caller, Service } from '../service.js';

/**
 * Measures each request, tells `Server-Timing` in each answer and writes one line of log about it: never what was sent,
 * and no keys, only their ids.
 */
export function observe({ metrics }: Service, logger: Logger | undefined): RequestHandler {
  return (request, response, next) => {
    const began = performance.now();
    const writeHead = response.writeHead.bind(response) as (...head: unknown[]) => typeof response;
    response.writeHead = (...head: unknown[]) => {
      if (!response.hasHeader('Server-Timing')) {
        response.setHeader('Server-Timing', `total;dur=${(performance.now() - began).toFixed(3)}`);
      }
      return writeHead(...head);
    };
    const id = randomUUID();
    response.setHeader('X-Request-Id', id);
    response.once('close', () => {
      const milliseconds = performance.now() - began;
      // By its pattern: paths hold ids, and anything that somebody tries.
      const route = typeof request.route?.path === 'string' ? request.route.path : 'other';
      const { statusCode: status } = response;
      const answered = response.writableFinished;
      metrics.request(request.method, route, answered ? status : 499, milliseconds);
      const { key } = (response.locals['caller'] as Caller | undefined) ?? {};
      logger?.info(
        {
          request: id,
          method: request.method,
          route,
          status,
          milliseconds: Math.round(milliseconds * 1000) / 1000,
          ...(answered ? {} : { aborted: true }),
          ...(key ? { key: key.id } : {}),
        },
        'request',
      );
    });
    next();
  };
}
