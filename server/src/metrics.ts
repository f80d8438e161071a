import type { RequestHandler } from 'express';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ProfileStore } from './stores/contract.js';
import type { Workload, WorkObserver } from './work/workload.js';

/** Seconds, from a small prediction to a long adaptation. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export type Stage = 'decode' | 'queue' | 'adapt' | 'store' | 'wait' | 'predict';

/** What the service measures of itself, for Prometheus. */
export interface Metrics extends WorkObserver {
  stage(name: Stage, milliseconds: number): void;
  request(method: string, route: string, status: number, milliseconds: number): void;
  /** In Prometheus' text format. */
  text(): Promise<{ readonly type: string; readonly body: string }>;
}

export interface MeteredService {
  readonly workload: Workload;
  readonly store: ProfileStore;
}

/** Metrics of a service; `ofProcess` adds memory, processor and event loop of this process. */
export function createMetrics(service: () => MeteredService, ofProcess = false): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (ofProcess) collectDefaultMetrics({ register: registry });
  const requests = new Histogram({
    name: 'whet_request_seconds',
    help: 'From the head of a request to the end of its answer.',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: SECONDS,
    registers,
  });
  const stages = new Histogram({
    name: 'whet_stage_seconds',
    help: 'Parts of requests: decode, queue, adapt, store, wait (for a batch), predict (a batch).',
    labelNames: ['stage'] as const,
    buckets: SECONDS,
    registers,
  });
  const batches = new Histogram({
    name: 'whet_batch_requests',
    help: 'Requests that were predicted together.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128],
    registers,
  });
  const failures = new Counter({
    name: 'whet_store_errors_total',
    help: 'Times that the size of the store could not be read.',
    registers,
  });
  const gauge = (name: string, help: string, read: (service: MeteredService) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read(service()));
      },
    });
  gauge('whet_adaptations_waiting', 'Adaptations in the queue.', ({ workload }) => workload.adaptations.waiting);
  gauge('whet_adaptations_running', 'Adaptations under way.', ({ workload }) => workload.adaptations.running);
  gauge('whet_images_waiting', 'Images that wait to be predicted.', ({ workload }) => workload.waitingImages);
  gauge('whet_sessions', 'Sessions of onnxruntime.', ({ workload }) => workload.engine.sessions);
  const profiles = new Gauge({ name: 'whet_store_profiles', help: 'Profiles in the store.', registers });
  const bytes = new Gauge({ name: 'whet_store_bytes', help: 'Bytes of profiles in the store.', registers });
  return {
    stage: (stage, milliseconds) => stages.observe({ stage }, milliseconds / 1000),
    batch: (count) => batches.observe(count),
    request: (method, route, status, milliseconds) => {
      requests.observe({ method, route, status }, milliseconds / 1000);
    },
    async text() {
      try {
        const usage = await service().store.usage();
        profiles.set(usage.profiles);
        bytes.set(usage.bytes);
      } catch {
        // A store that is away is worth telling; the other figures are as well.
        failures.inc();
      }
      return { type: registry.contentType, body: await registry.metrics() };
    },
  };
}

/** `GET /metrics` */
export function metricsHandler(metrics: Metrics): RequestHandler {
  return async (_request, response) => {
    const { type, body } = await metrics.text();
    response.set('Content-Type', type).send(body);
  };
}
