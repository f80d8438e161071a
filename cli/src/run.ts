import { readFileSync } from 'node:fs';
import { type Command, CommanderError } from 'commander';
import { installHint } from './installed.js';
import { whetProgram } from './program.js';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Throws in place of ending the process. */
function stayAlive(command: Command): Command {
  command.exitOverride().commands.forEach(stayAlive);
  return command;
}

/** Of an `InputError`, the option that its field is, where that was given. */
function optionOf(error: unknown, args: readonly string[]): string {
  if (!(error instanceof Error) || !('field' in error)) return '';
  const option = `--${error.field}`;
  return args.some((arg) => arg === option || arg.startsWith(`${option}=`)) ? `${option}: ` : '';
}

/** Runs `whet` with arguments as a shell hands them on. What goes wrong is said in a line, and is the process's exit code. */
export async function runCommand(args: readonly string[]): Promise<void> {
  try {
    await stayAlive(await whetProgram(version, args[0])).parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      // Said already.
      process.exitCode = error.exitCode;
      return;
    }
    const said = error instanceof Error ? (installHint(error) ?? error.message) : String(error);
    process.stderr.write(`whet: ${optionOf(error, args)}${said}\n`);
    if (process.env['WHET_DEBUG'] && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
  }
}
