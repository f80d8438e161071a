import type { Command } from 'commander';
import { expect, it } from 'vitest';
import { collectStages, count } from './arguments.js';
import { whetProgram } from './program.js';

/** What a command line is told, without running anything. */
async function told(args: readonly string[]): Promise<string> {
  let said = '';
  const quiet = (command: Command): Command => {
    const write = (text: string) => {
      said += text;
    };
    command.exitOverride().configureOutput({ writeErr: write, writeOut: write }).commands.forEach(quiet);
    return command;
  };
  await quiet(await whetProgram('0'))
    .parseAsync([...args], { from: 'user' })
    .catch(() => undefined);
  return said;
}

const compile = ['compile', 'no.onnx', '--out', 'no'];

it.each<[string, string[]]>([
  ["option '--steps <n>' argument 'x' is invalid. expected a whole number.", [...compile, '--steps', 'x']],
  ["option '--rate <x>' argument 'x' is invalid. expected a number.", [...compile, '--rate', 'x']],
  ["option '--rate <x>' argument '0' is invalid. expected a positive number.", [...compile, '--rate', '0']],
  ['expected numbers, e.g. 0.485,0.456,0.406.', [...compile, '--mean', 'a']],
  ["argument 'half' is invalid. Allowed choices are cosine, prototype, keep.", [...compile, '--head', 'half']],
  ['expected 0 to 255.', [...compile, '--background', '300']],
  ['expected 0 or more and less than 1.', [...compile, '--smoothing', '1']],
  ['expected 1 or 255.', [...compile, '--pixels', '100']],
  ['expected 1 to 64 letters, digits, ".", "_", "@" or "-".', ['keys', 'add', 'my phone']],
  ['expected HEIGHTxWIDTH, e.g. 48x192.', [...compile, '--size', '48']],
  ['pattern "a" is given twice.', [...compile, '--pattern', 'a=all', '--pattern', 'a=none']],
  [
    "argument '1' is invalid. expected a whole number of 2 or more, or a range of such as 3-8.",
    ['train', '--stream', '1'],
  ],
  ["argument '5-2' is invalid. expected a range from less to more, such as 2-5.", ['train', '--stream', '5-2']],
  ["option '--stream <stages...>' argument '2-400000000' is invalid.", ['train', '--stream', '2-400000000']],
  ['expected at most 1000 stages.', ['train', '--stream', '2-1001']],
])('says which option is wrong and what it takes: %s', async (message, args) => {
  expect(await told(args)).toContain(message);
});

it('takes every number of a range of stages', () => {
  expect(collectStages('5', collectStages('2-4', undefined))).toEqual([2, 3, 4, 5]);
});

it('counts from 1', () => {
  expect(() => count('0')).toThrow('expected a whole number of 1 or more.');
});
