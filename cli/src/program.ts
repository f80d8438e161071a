import { Command } from 'commander';

/** The commands by their names; each loads its part when it runs: `whet predict` on an edge box never loads the trainer. */
const loaders: Readonly<Record<string, (version: string) => Promise<Command>>> = {
  data: async () => (await import('./commands/data.js')).dataCommand(),
  train: async () => (await import('./commands/train.js')).trainCommand(),
  evaluate: async () => (await import('./commands/evaluate.js')).evaluateCommand(),
  export: async () => (await import('./commands/export.js')).exportCommand(),
  report: async () => (await import('./commands/report.js')).reportCommand(),
  search: async () => (await import('./commands/search.js')).searchCommand(),
  compile: async () => (await import('./commands/compile.js')).compileCommand(),
  migrate: async () => (await import('./commands/migrate.js')).migrateCommand(),
  serve: async (version) => (await import('./commands/serve.js')).serveCommand(version),
  keys: async () => (await import('./commands/keys.js')).keysCommand(),
  store: async () => (await import('./commands/store.js')).storeCommand(),
  page: async () => (await import('./commands/page.js')).pageCommand(),
  adapt: async () => (await import('./commands/adapt.js')).adaptCommand(),
  predict: async () => (await import('./commands/predict.js')).predictCommand(),
  freeze: async () => (await import('./commands/freeze.js')).freezeCommand(),
  doctor: async () => (await import('./commands/doctor.js')).doctorCommand(),
  bench: async () => (await import('./commands/bench.js')).benchCommand(),
};

/** The `whet` command of a version: with the one part of that name, or with all where there is none, as to say which there are. */
export async function whetProgram(version: string, part = ''): Promise<Command> {
  const program = new Command('whet')
    .description(
      'Personalise a classifier on the device that uses it: meta-train, search, export, compile, adapt, predict, serve.',
    )
    .version(version)
    .showHelpAfterError('(try --help)')
    .configureHelp({ showGlobalOptions: true });
  const known = Object.hasOwn(loaders, part) ? [part] : Object.keys(loaders);
  for (const name of known) program.addCommand(await (loaders[name] as (typeof loaders)[string])(version));
  return program;
}
