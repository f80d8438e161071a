import { readFileSync } from 'node:fs';
import { parseSync, Visitor } from 'oxc-parser';
import { isTest } from './sources.js';

/** What stands for a part of a message that is only known when it is made. */
export const HOLE = '…';

/** A message that a source throws, and where. */
export interface Message {
  readonly path: string;
  readonly text: string;
}

type Part = string | typeof HOLE;

/** What takes the text of an error: classes of errors, and functions that throw one. */
const THROWS = /(Error|Refusal|Exception)$|^(fail|refuse|reject)$/;

interface Expression {
  readonly type: string;
  readonly value?: unknown;
  readonly quasis?: readonly { readonly value: { readonly cooked?: string | null } }[];
  readonly left?: Expression;
  readonly right?: Expression;
  readonly operator?: string;
  readonly consequent?: Expression;
  readonly alternate?: Expression;
  readonly object?: Expression;
  readonly property?: Expression & { readonly name?: string };
  readonly callee?: Expression;
  readonly elements?: readonly (Expression | null)[];
  readonly arguments?: readonly Expression[];
  readonly name?: string;
}

/** The texts that an expression may be, with holes; none where nothing of it is text. */
function textsOf(expression: Expression | undefined): string[] {
  if (!expression) return [];
  switch (expression.type) {
    case 'Literal':
      return typeof expression.value === 'string' ? [expression.value] : [];
    case 'TemplateLiteral':
      return [(expression.quasis ?? []).map(({ value }) => value.cooked ?? '').join(HOLE)];
    case 'BinaryExpression': {
      if (expression.operator !== '+') return [];
      const or = (texts: string[]) => (texts.length > 0 ? texts : [HOLE]);
      const rights = or(textsOf(expression.right));
      return or(textsOf(expression.left)).flatMap((left) => rights.map((right) => left + right));
    }
    case 'ConditionalExpression':
      return [...textsOf(expression.consequent), ...textsOf(expression.alternate)];
    case 'CallExpression': {
      // A list of lines that is joined.
      const { callee } = expression;
      const lines = callee?.property?.name === 'join' ? (callee.object?.elements ?? []) : [];
      return lines.slice(0, 1).flatMap((line) => textsOf(line ?? undefined));
    }
    default:
      return [];
  }
}

const calledName = (callee: Expression): string => callee.property?.name ?? callee.name ?? '';
const lettersOf = (text: string): number => text.replaceAll(HOLE, '').replace(/\P{L}/gu, '').length;

/** The messages of a source, each once. One that is all holes passes on another. */
export function messagesOf(path: string, source: string): Message[] {
  const found = new Set<string>();
  const visit = (callee: Expression, [first]: readonly Expression[]) => {
    if (!THROWS.test(calledName(callee))) return;
    for (const text of textsOf(first)) if (lettersOf(text) >= 4) found.add(text);
  };
  new Visitor({
    NewExpression: (node) => visit(node.callee as Expression, node.arguments as Expression[]),
    CallExpression: (node) => visit(node.callee as Expression, node.arguments as Expression[]),
  }).visit(parseSync(path, source).program);
  return [...found].map((text) => ({ path, text }));
}

/** The texts of a test: what it says of the messages it expects, in strings, templates and patterns. */
function expectationsOf(path: string, source: string): string[] {
  const texts: string[] = [];
  new Visitor({
    Literal(node) {
      if ('regex' in node && node.regex) texts.push(node.regex.pattern.replaceAll('\\', ''));
      else if (typeof node.value === 'string') texts.push(node.value);
    },
    TemplateLiteral(node) {
      texts.push(node.quasis.map(({ value }) => value.cooked ?? '').join(HOLE));
    },
  }).visit(parseSync(path, source).program);
  return texts;
}

/** Letters that have to agree. Fewer may agree by chance. */
const LEAST = 9;

/** Whether a text that a test expects is this message, or a part of it. */
export function isMessage(expected: string, message: string): boolean {
  const pieces = message.split(HOLE).map((piece) => piece.trim());
  const own = expected.split(HOLE).map((piece) => piece.trim());
  const longest = own.reduce((most, piece) => (lettersOf(piece) > lettersOf(most) ? piece : most), '');
  const least = Math.min(LEAST, lettersOf(message));
  if (lettersOf(longest) >= least && pieces.some((piece) => piece.includes(longest))) return true;
  let from = 0;
  for (const piece of pieces) {
    const at = expected.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return lettersOf(message) >= least;
}

export interface Made extends Message {
  /** Tests that expect it. */
  readonly tests: readonly string[];
}

/** The messages of the packages, in order, each with the tests that make it. */
export function messagesWithTests(root: string, paths: readonly string[], packages: RegExp): Made[] {
  const read = (path: string) => readFileSync(root + path, 'utf8');
  const tests = paths
    .filter((path) => isTest(path) || (path.startsWith('test/') && !path.startsWith('test/src/source/')))
    .map((path) => ({ path, texts: expectationsOf(path, read(path)) }));
  return paths
    .filter((path) => packages.test(path) && !isTest(path))
    .flatMap((path) => messagesOf(path, read(path)))
    .map((message) => ({
      ...message,
      tests: tests.filter(({ texts }) => texts.some((text) => isMessage(text, message.text))).map(({ path }) => path),
    }));
}
