import { relative } from 'node:path';
import { Command } from 'commander';
import { defaultBundle, wholeNumber } from '../arguments.js';

interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly threads?: number;
  readonly demo?: string;
  readonly page: boolean;
}

export function serveCommand(version: string): Command {
  return new Command('serve')
    .description(
      'Serve bundles over HTTP: POST /adapt, POST /predict, GET /health, /models, /profiles/:id; and at / a page that adapts on the device that shows it.',
    )
    .argument('[bundles...]', 'folders of bundles')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <n>', 'port to listen on; 0 takes a free one', wholeNumber, 8080)
    .option('--threads <n>', 'threads of onnxruntime', wholeNumber)
    .option('--demo <dir>', 'folder with one folder of images per class, for the curl commands it prints')
    .option('--no-page', 'leave out the page at /')
    .action((bundles: string[], options: ServeOptions) => runServer(version, bundles, options));
}

async function runServer(version: string, directories: string[], options: ServeOptions): Promise<void> {
  const { createMemoryStore, curlExamples, startServer } = await import('@whet/server');
  const { loadBundle } = await import('@whet/runtime/node');
  const loaded = [];
  const folders = new Map<string, string>();
  for (const directory of directories.length > 0 ? directories : [defaultBundle]) {
    const bundle = await loadBundle(directory, options.threads ? { threads: options.threads } : {});
    loaded.push(bundle);
    folders.set(bundle.manifest.name, directory);
  }
  const bundles = new Map(loaded.map((bundle) => [bundle.manifest.name, bundle]));
  if (bundles.size < loaded.length) throw new Error('two bundles have the same name; names must differ');
  const { host, port } = options;
  if (port > 65_535) throw new Error(`--port: expected 0 to 65535, got ${port}`);
  const onError = (error: unknown) => {
    process.stderr.write(`whet: ${error instanceof Error ? error.stack : String(error)}\n`);
  };
  const page = options.page ? { bundles: folders } : undefined;
  const server = await startServer({ bundles, store: createMemoryStore(), version, host, port, page, onError });
  process.stdout.write(`whet ${version} serves ${[...bundles.keys()].join(', ')} at ${server.url}\n`);
  const demo = options.demo ? await demoImages(options.demo) : undefined;
  if (demo) {
    process.stdout.write(
      `\nTry it (paste into another shell in this folder):\n\n${curlExamples(server.url, demo).join('\n')}\n\n`,
    );
  }
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  await server.close();
  for (const bundle of loaded) await bundle.release();
}

/** Two examples each of three classes, and one more image of each to predict. */
async function demoImages(folder: string) {
  const { labelledFiles } = await import('../image-files.js');
  const classes = (await labelledFiles(folder)).slice(0, 3);
  const here = (path: string) => relative(process.cwd(), path);
  return {
    examples: classes.flatMap(({ label, paths }) => paths.slice(0, 2).map((path) => ({ label, path: here(path) }))),
    queries: classes.flatMap(({ paths }) => paths.slice(2, 3).map(here)),
  };
}
