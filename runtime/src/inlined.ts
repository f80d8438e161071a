import { InputError } from './errors.js';

/**
 * A script that may stand in a page between tags: without what ends it there, or begins a comment, wherever in it that is. It is not escaped: how,
 * depends on whether a text, a regular expression or code holds it.
 *
 * @throws {InputError} naming what it holds, and where.
 */
export function inlined(script: string): string {
  const { 0: found, index = 0 } = /<\/script|<!--/i.exec(script) ?? {};
  if (found === undefined) return script;
  const around = script.slice(Math.max(0, index - 20), index + 20);
  throw new InputError('script', `script: expected no </script and no <!--, got ${JSON.stringify(around)} at ${index}`);
}
