import type { Manifest } from '@whet/runtime';
import type { Command } from 'commander';
import { twoOrMore } from './arguments.js';

// What an adaptation of a bundle may have at most: what `compile` and `export` have in common.

export interface LimitOptions {
  readonly maxClasses?: number;
  readonly maxExamples?: number;
}

export const addLimitOptions = (command: Command): Command =>
  command
    .option(
      '--max-classes <n>',
      'classes of a profile at most, with those of a kept head (default: 100 beside those)',
      twoOrMore,
    )
    .option(
      '--max-examples <n>',
      'examples of an adaptation at most; a step takes all at once (default: 500)',
      twoOrMore,
    );

export const limitsOf = ({ maxClasses, maxExamples }: LimitOptions): Partial<Manifest['limits']> => ({
  ...(maxClasses === undefined ? {} : { maxClasses }),
  ...(maxExamples === undefined ? {} : { maxExamples }),
});
