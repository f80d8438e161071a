import type { Command } from 'commander';
import { whetProgram } from 'whet';

/** As wide as a page's column. */
const COLUMNS = 70;

/** The page of commands: what `--help` says of each. */
export async function commandsPage(version: string): Promise<string> {
  const program = await whetProgram(version);
  return [
    '# Commands',
    '',
    `${program.description()} In this repository, \`npm run whet --\` stands for \`whet\`. [What the command is](../../cli/README.md).`,
    '',
    ...program.commands.flatMap((command) => sectionOf(command, 'whet', '##')),
  ].join('\n');
}

function sectionOf(command: Command, parent: string, level: string): string[] {
  const name = `${parent} ${command.name()}`;
  command.configureHelp({ helpWidth: COLUMNS });
  const own = [`${level} ${name}`, '', '```text', command.helpInformation().trimEnd(), '```', ''];
  return [...own, ...command.commands.flatMap((each) => sectionOf(each, name, `${level}#`))];
}
