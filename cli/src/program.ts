import { Command } from 'commander';

/** The commands; each loads its part when it runs: `whet predict` on an edge box never loads the trainer. */
const loaders: readonly ((version: string) => Promise<Command>)[] = [
  async () => (await import('./commands/data.js')).dataCommand(),
  async () => (await import('./commands/train.js')).trainCommand(),
  async () => (await import('./commands/evaluate.js')).evaluateCommand(),
  async () => (await import('./commands/export.js')).exportCommand(),
  async () => (await import('./commands/report.js')).reportCommand(),
  async () => (await import('./commands/search.js')).searchCommand(),
  async () => (await import('./commands/compile.js')).compileCommand(),
  async () => (await import('./commands/migrate.js')).migrateCommand(),
  async (version) => (await import('./commands/serve.js')).serveCommand(version),
  async () => (await import('./commands/keys.js')).keysCommand(),
  async () => (await import('./commands/store.js')).storeCommand(),
  async () => (await import('./commands/page.js')).pageCommand(),
  async () => (await import('./commands/adapt.js')).adaptCommand(),
  async () => (await import('./commands/predict.js')).predictCommand(),
  async () => (await import('./commands/freeze.js')).freezeCommand(),
  async () => (await import('./commands/doctor.js')).doctorCommand(),
  async () => (await import('./commands/bench.js')).benchCommand(),
];

/** The `whet` command with all its parts, of a version. */
export async function whetProgram(version: string): Promise<Command> {
  const program = new Command('whet')
    .description(
      'Personalise a classifier on the device that uses it: meta-train, search, export, compile, adapt, predict, serve.',
    )
    .version(version)
    .showHelpAfterError('(try --help)')
    .configureHelp({ showGlobalOptions: true });
  for (const load of loaders) program.addCommand(await load(version));
  return program;
}
