import { language } from './index.js';

// Quantities with their units, as the language that is shown writes numbers.

const rounded = (value: number, digits: number): string =>
  new Intl.NumberFormat(language.value, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);

/** With one decimal. */
export const decimal = (value: number): string => rounded(value, 1);

/** A loss in a sentence, where more digits say nothing. */
export const roundLoss = (value: number): string => rounded(value, 3);

/** A loss, which may be as good as nothing, with so many digits that count. */
export const loss = (value: number, digits = 4): string =>
  new Intl.NumberFormat(language.value, {
    maximumSignificantDigits: digits,
    notation: value !== 0 && value < 0.001 ? 'scientific' : 'standard',
  }).format(value);

export const seconds = (ms: number): string => `${rounded(ms / 1000, ms < 950 ? 1 : 0)} s`;
export const inMilliseconds = (ms: number): string => `${rounded(ms, ms < 100 ? 1 : 0)} ms`;
export const kilobytes = (bytes: number): string => `${decimal(bytes / 1e3)} kB`;
export const megabytes = (bytes: number): string => `${decimal(bytes / 1e6)} MB`;
