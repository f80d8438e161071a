import { AUTO } from '@whet/runtime/format';
import type { Manifest } from '@whet/runtime/web';

/** What a person may choose of: with more than one pattern also `auto`, which comes first and is the default. */
export function patternChoices({ patterns, defaultPattern, auto = false }: Manifest): {
  names: string[];
  preset: string;
} {
  const names = Object.keys(patterns);
  const choices = names.length > 1 ? [AUTO, ...names] : names;
  return { names: choices, preset: auto ? (choices[0] as string) : defaultPattern };
}

/** The pattern that moves the most weights, which speed-ups are over. */
export function densest({ patterns }: Manifest): string {
  const moved = (name: string) => (patterns[name]?.moving ?? []).reduce((sum, { moving }) => sum + moving, 0);
  return Object.keys(patterns).reduce((most, name) => (moved(name) > moved(most) ? name : most));
}
