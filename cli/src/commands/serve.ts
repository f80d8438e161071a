import { relative } from 'node:path';
import { flagOf, type SettingName, settings, variableOf } from '@whet/server/config';
import { Command, Option } from 'commander';
import { defaultBundles } from '../arguments.js';
import { readNamedFile } from '../named-file.js';

/** Milliseconds that the end may take after the last request. */
const ENDING_MS = 10_000;

interface ServeOptions extends Partial<Record<SettingName, string>> {
  readonly config?: string;
  readonly printConfig?: boolean;
  readonly demo?: string;
  readonly page?: boolean;
}

export function serveCommand(version: string): Command {
  const command = new Command('serve')
    .description(
      'Serve bundles over HTTP: POST /adapt, POST /predict, /profiles, /models, /metrics, /docs; and at / a page that adapts on the device that shows it.',
    )
    .argument('[bundles...]', 'folders or .whet files of bundles')
    .option('--config <file>', 'settings in JSON (env: WHET_CONFIG); flags and the environment come before')
    .option('--print-config', 'print the settings, without passwords, and end')
    .option('--demo <dir>', 'folder with one folder of images per class, for the curl commands it prints')
    .option('--page', 'the page at /, and the bundles for it, also where keys are asked for: everybody may fetch them')
    .option('--no-page', 'leave out the page at /');
  for (const name of Object.keys(settings) as SettingName[]) {
    const { value, help } = settings[name];
    command.addOption(new Option(`${flagOf(name)} <${value}>`, `${help} (env: ${variableOf(name)})`));
  }
  return command.action((bundles: string[], options: ServeOptions) => runServer(version, bundles, options));
}

async function runServer(version: string, directories: string[], options: ServeOptions): Promise<void> {
  const { curlExamples, maskConfig, serve } = await import('@whet/server');
  // A service goes on where what it says goes nowhere, as into a pipe that was closed.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const config = await configOf(options);
  if (options.printConfig) {
    process.stdout.write(`${JSON.stringify(maskConfig(config), null, 2)}\n`);
    return;
  }
  const folders = directories.length > 0 ? directories : defaultBundles;
  const starting = serve(config, folders, version, { page: options.page });
  // Also while it starts, when the signal would end the process otherwise.
  process.on('SIGHUP', () => {
    starting.then(
      (serving) => serving.reload(),
      () => undefined,
    );
  });
  const serving = await starting;
  process.stdout.write(`whet ${version} serves ${serving.models.join(', ')} at ${serving.url}\n`);
  if (serving.page === 'not installed') process.stdout.write('no page at /: npm install @whet/page\n');
  const demo = options.demo ? await demoImages(options.demo) : undefined;
  if (demo) {
    process.stdout.write(
      `\nTry it (paste into another shell in this folder):\n\n${curlExamples(serving.url, demo).join('\n')}\n\n`,
    );
  }
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  // Whatever still holds the process up then, a database that hangs for instance, the end does not wait for.
  const { drainDelayMs, drainMs } = config;
  setTimeout(
    () => {
      process.stderr.write('whet: something did not end in time; the process does\n');
      process.exit(1);
    },
    drainDelayMs + drainMs + ENDING_MS,
  ).unref();
  await serving.close();
}

/** Settings from flags, environment and file. */
export async function configOf({ config: flag, ...flags }: ServeOptions) {
  const { readConfig } = await import('@whet/server/config');
  const path = flag ?? process.env['WHET_CONFIG'];
  const file =
    path === undefined ? undefined : { path, text: (await readNamedFile(path, 'a file of settings')).toString() };
  return readConfig({ flags, environment: process.env, ...(file ? { file } : {}) });
}

/** What the service reads, by their names. */
const UPLOADS = /\.(png|jpe?g|jpe|jfif|webp)$/i;

/** Two examples each of three classes, and one more image of each to predict. */
async function demoImages(folder: string) {
  const { listClasses } = await import('@whet/runtime/images');
  const { noteUnread } = await import('../unread.js');
  const { classes, unread } = await listClasses(folder);
  noteUnread(unread);
  const here = (path: string) => relative(process.cwd(), path);
  const shown = classes.slice(0, 3).map(({ name, files }) => {
    const taken = files.filter((path) => UPLOADS.test(path)).map(here);
    if (taken.length === 0) throw new Error(`${folder}: ${name}: expected a PNG, JPEG or WebP image, got ${files[0]}`);
    return { label: name, paths: taken };
  });
  return {
    examples: shown.flatMap(({ label, paths }) => paths.slice(0, 2).map((path) => ({ label, path }))),
    queries: shown.flatMap(({ paths }) => paths.slice(2, 3)),
  };
}
