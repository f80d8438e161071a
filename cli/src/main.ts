import { readFileSync } from 'node:fs';
import { Command } from 'commander';

// Each command loads its part when it runs: `whet predict` on an edge box never loads the trainer.
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('whet')
  .description(
    'Personalise a classifier on the device that uses it: meta-train, search, export, compile, adapt, predict, serve.',
  )
  .version(version)
  .showHelpAfterError('(try --help)')
  .configureHelp({ showGlobalOptions: true });

const loaders = [
  async () => (await import('./commands/train.js')).trainCommand(),
  async () => (await import('./commands/evaluate.js')).evaluateCommand(),
  async () => (await import('./commands/export.js')).exportCommand(),
  async () => (await import('./commands/report.js')).reportCommand(),
  async () => (await import('./commands/search.js')).searchCommand(),
  async () => (await import('./commands/compile.js')).compileCommand(),
  async () => (await import('./commands/serve.js')).serveCommand(version),
  async () => (await import('./commands/adapt.js')).adaptCommand(),
  async () => (await import('./commands/predict.js')).predictCommand(),
  async () => (await import('./commands/doctor.js')).doctorCommand(),
  async () => (await import('./commands/bench.js')).benchCommand(),
];
for (const load of loaders) program.addCommand(await load());

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`whet: ${error instanceof Error ? error.message : String(error)}\n`);
  if (process.env['WHET_DEBUG'] && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
}
