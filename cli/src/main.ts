import { readFileSync } from 'node:fs';
import { whetProgram } from './program.js';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

try {
  await (await whetProgram(version)).parseAsync();
} catch (error) {
  process.stderr.write(`whet: ${error instanceof Error ? error.message : String(error)}\n`);
  if (process.env['WHET_DEBUG'] && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
}
