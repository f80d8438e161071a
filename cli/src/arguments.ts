import { join } from 'node:path';
import { bundlesDirectory, DEFAULT_BUNDLES } from '@whet/models/bundles';
import { InvalidArgumentError } from 'commander';

/** Folders of the bundles that are served where none is named. */
export const defaultBundles = DEFAULT_BUNDLES.map((name) => join(bundlesDirectory, name));

/** The first of them: what other commands take. */
export const defaultBundle = defaultBundles[0] as string;

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('expected a whole number.');
  return value;
}

/** A whole number of 1 or more. */
export function count(text: string): number {
  const value = wholeNumber(text);
  if (value < 1) throw new InvalidArgumentError('expected a whole number of 1 or more.');
  return value;
}

function finiteNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.');
  return value;
}

/** A whole number of 2 or more. */
export function twoOrMore(text: string): number {
  const value = wholeNumber(text);
  if (value < 2) throw new InvalidArgumentError('expected a whole number of 2 or more.');
  return value;
}

export function positiveNumber(text: string): number {
  const value = finiteNumber(text);
  if (value <= 0) throw new InvalidArgumentError('expected a positive number.');
  return value;
}

/** A number of 0 or more. */
export function nonNegative(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError('expected a number of 0 or more.');
  }
  return value;
}

/** For options that take several positive numbers: `--rate 0.01 0.1`. */
export function collectPositive(text: string, previous: number[] | undefined): number[] {
  return [...(previous ?? []), positiveNumber(text)];
}

/** For options that take several counts: `--shots 1 5`. */
export function collectCounts(text: string, previous: number[] | undefined): number[] {
  return [...(previous ?? []), count(text)];
}

/** For options that take several counts, of which 0 is one: `--remember 0 5`. */
export function collectWhole(text: string, previous: number[] | undefined): number[] {
  return [...(previous ?? []), wholeNumber(text)];
}

/** For options that take several numbers: `--mean 0.5 0.5 0.5`. */
export function collectNumbers(text: string, previous: number[] | undefined): number[] {
  return [...(previous ?? []), finiteNumber(text)];
}

/** For options that take several numbers above 0: `--std 0.2 0.2 0.3`. */
export function collectPositiveNumbers(text: string, previous: number[] | undefined): number[] {
  return [...(previous ?? []), positiveNumber(text)];
}

/** For options that are given several times. */
export function collectTexts(text: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), text];
}

/** From the first number to the second, which may be the same. */
export type NumberRange = readonly [from: number, to: number];

function rangeFrom(least: number, text: string): NumberRange {
  const [, from = '', to = from] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const range = [Number(from), Number(to)] as const;
  if (range[0] > range[1]) {
    throw new InvalidArgumentError(`expected a range from less to more, such as ${to}-${from}.`);
  }
  if (from === '' || range[0] < least || !range.every(Number.isSafeInteger)) {
    throw new InvalidArgumentError(`expected a whole number of ${least} or more, or a range of such as 3-8.`);
  }
  return range;
}

/** `5`, or `3-8`. */
export const numberRange = (text: string): NumberRange => rangeFrom(1, text);

/** {@link numberRange} that may begin with 0. */
export const wholeNumberRange = (text: string): NumberRange => rangeFrom(0, text);

/** For options that take several: `--shots 1 5`. */
export function collectRanges(text: string, previous: NumberRange[] | undefined): NumberRange[] {
  return [...(previous ?? []), numberRange(text)];
}

const STAGES_LIMIT = 1000;

/** For `--stream 3 5`, or of ranges: every number of stages, of which a stream has two or more. */
export function collectStages(text: string, previous: number[] | undefined): number[] {
  const [from, to] = rangeFrom(2, text);
  if (to > STAGES_LIMIT) throw new InvalidArgumentError(`expected at most ${STAGES_LIMIT} stages.`);
  return [...(previous ?? []), ...Array.from({ length: to - from + 1 }, (_, i) => from + i)];
}

/** Of a model's images. */
export function heightAndWidth(text: string): [number, number] {
  const [, height = '0', width = '0'] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  if (!Number(height) || !Number(width)) throw new InvalidArgumentError('expected HEIGHTxWIDTH, e.g. 48x192.');
  return [Number(height), Number(width)];
}

/** What white is. */
export function pixelRange(text: string): 1 | 255 {
  if (text === '1' || text === '0..1') return 1;
  if (text === '255' || text === '0..255') return 255;
  throw new InvalidArgumentError('expected 1 or 255.');
}

/** The command line as a person would type it, to record with figures. Folders of this machine are left out. */
export function commandLine(
  command: string,
  options: Readonly<Record<string, string | number | true | undefined>>,
): string {
  const parts = Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return [value === true ? `--${name}` : `--${name} ${value}`];
  });
  return ['whet', command, ...parts].join(' ');
}
