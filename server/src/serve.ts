import type { Logger } from 'pino';
import { type Config, maskConfig, ttlOf } from './config.js';
import { threadedEngine } from './engine/threads.js';
import { defaultAuth, type RunningServer, startServer } from './listen.js';
import { openLog } from './log.js';
import { installedPage } from './page-files.js';
import { maskAddress } from './stores/address.js';
import { openStore } from './stores/open.js';

const SWEEP_MS = 60_000;

export interface Serving {
  /** Where it answers. */
  readonly url: string;
  readonly models: readonly string[];
  /** Whether the page is at `/`, or why not. */
  readonly page: 'there' | 'left out' | 'not installed';
  readonly logger: Logger;
  /** Loads the bundles anew, for the requests that come from then on. Goes on with the old ones where they do not load. */
  reload(): Promise<void>;
  /** Finishes the requests under way and ends. */
  close(): Promise<void>;
}

/**
 * Runs the service by its settings, on the bundles in these folders. The page at `/`, from which everybody can fetch the
 * bundles, is there where `@whet/page` is installed and no keys are asked for, unless `page` says otherwise. Rejects where it cannot start.
 */
export async function serve(
  config: Config,
  directories: readonly string[],
  version: string,
  { page }: { readonly page?: boolean | undefined } = {},
): Promise<Serving> {
  const logger = openLog(config.logLevel);
  const auth = config.auth === 'auto' ? defaultAuth(config.host, config.proxies) : config.auth;
  logger.info({ version, directories, config: { ...maskConfig(config), auth } }, 'start');
  const ttlMs = ttlOf(config);
  const isWanted = page ?? auth === 'off';
  const files = isWanted ? await installedPage(page === true) : undefined;
  const store = await openStore(config.store, {
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(config.storeBytes === undefined ? {} : { maxBytes: config.storeBytes }),
  });
  const { threads, preload, adaptThreads, adaptNiceness } = config;
  const load = (complete: boolean) =>
    threadedEngine(directories, { threads, preload, complete, adaptThreads, adaptNiceness });
  let server: RunningServer;
  let models: string[];
  try {
    if (auth === 'keys' && (await store.keys.list()).length === 0) {
      logger.warn(
        { store: maskAddress(config.store) },
        'no request is answered before there is a key: whet keys add NAME',
      );
    }
    const engine = await load(false);
    models = [...engine.models.keys()];
    const {
      bodyBytes,
      heldBytes,
      imagePixels,
      requestPixels,
      keyPixels,
      headMs,
      bodyMs,
      idleMs,
      drainDelayMs,
      drainMs,
    } = config;
    const { batchImages, batchWaitMs, predictQueue, predictDeadlineMs, adaptQueue, adaptDeadlineMs } = config;
    server = await startServer({
      engine,
      store,
      version,
      page: files && { files, bundles: new Map(models.map((name, i) => [name, directories[i] as string])) },
      auth,
      logger,
      processMetrics: true,
      host: config.host,
      port: config.port,
      rateLimit: config.rateLimit,
      corsOrigins: config.corsOrigins,
      hostNames: config.hostNames,
      proxies: config.proxies,
      limits: { bodyBytes, heldBytes, imagePixels, requestPixels, keyPixels },
      work: { batchImages, batchWaitMs, predictQueue, predictDeadlineMs, adaptThreads, adaptQueue, adaptDeadlineMs },
      timeouts: { headMs, bodyMs, idleMs, drainDelayMs, drainMs },
    }).catch(async (error: unknown) => {
      await engine.close().catch(() => undefined);
      throw error;
    });
  } catch (error) {
    await store.close().catch(() => undefined);
    throw error;
  }
  const sweep = () => {
    store.sweep().then(
      (count) => count > 0 && logger.info({ count }, 'expired profiles'),
      (error: unknown) => logger.warn({ err: error }, 'expired profiles stay'),
    );
  };
  /** The reload under way; they run one after another, the last of them last. */
  let reloading = Promise.resolve();
  let closing = false;
  const reload = async () => {
    if (closing) return;
    try {
      const engine = await load(true);
      // The service ended meanwhile: nobody else would close its threads.
      if (closing) return await engine.close();
      logger.info({ models: [...engine.models].map(([name, { digest }]) => ({ name, digest })) }, 'reload');
      await server.replace(engine);
    } catch (error) {
      logger.error({ err: error }, 'the bundles do not load; the old ones stay');
    }
  };
  const timer = ttlMs === undefined ? undefined : setInterval(sweep, SWEEP_MS).unref();
  // One that is started anew within a minute, again and again, sweeps as well.
  if (timer) sweep();
  return {
    url: server.url,
    models,
    page: files ? 'there' : isWanted ? 'not installed' : 'left out',
    logger,
    reload() {
      reloading = reloading.then(reload);
      return reloading;
    },
    async close() {
      logger.info('drain');
      closing = true;
      clearInterval(timer);
      try {
        await server.close();
        await reloading;
      } finally {
        await store.close();
      }
      logger.info('end');
    },
  };
}
