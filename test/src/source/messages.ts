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

/** What takes the text of an error: classes of errors, and functions that throw one. */
const CLASSES = /(Error|Refusal|Exception|Problem)$/;
const FUNCTIONS = /^(fail|refuse|refused|reject)$/;

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
/** Two words at least; less is a field, or what stands before a message that is passed on. */
const isMessageText = (text: string): boolean => /\p{L}{2}[^…]*\s[^…]*\p{L}{2}/u.test(text);

/** The messages of a source, each once. One that is all holes passes on another. */
export function messagesOf(path: string, source: string): Message[] {
  const found = new Set<string>();
  const visit = (names: RegExp, callee: Expression, args: readonly Expression[]) => {
    if (!names.test(calledName(callee))) return;
    // An error of input names the field first, a problem its kind and the field.
    const texts = args.slice(0, 3).map((argument) => textsOf(argument).filter(isMessageText));
    for (const text of texts.find((each) => each.length > 0) ?? []) found.add(text);
  };
  new Visitor({
    NewExpression: (node) => visit(CLASSES, node.callee as Expression, node.arguments as Expression[]),
    CallExpression: (node) => visit(FUNCTIONS, node.callee as Expression, node.arguments as Expression[]),
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

/** Characters in a row that a test and a message have to share, where no other message has them. */
const RUN = 12;

const piecesOf = (text: string): string[] => text.split(HOLE).map((piece) => piece.trim());

function runsOf(text: string): string[] {
  const runs: string[] = [];
  for (let i = 0; i + RUN <= text.length; i++) runs.push(text.slice(i, i + RUN));
  return runs;
}

/** Whether a test says everything that a message always says, in this order. */
function saysAll(expected: string, message: string): boolean {
  let from = 0;
  for (const piece of piecesOf(message)) {
    const at = expected.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return true;
}

/** Finds the messages that a text of a test is about. */
export class MessageIndex {
  readonly #byRun = new Map<string, Set<string>>();
  /** Messages of short pieces. */
  readonly #short: string[] = [];

  constructor(texts: Iterable<string>) {
    for (const text of new Set(texts)) {
      const runs = piecesOf(text).flatMap(runsOf);
      if (runs.length === 0) this.#short.push(text);
      for (const run of runs) {
        const known = this.#byRun.get(run);
        if (known) known.add(text);
        else this.#byRun.set(run, new Set([text]));
      }
    }
  }

  /** A message is meant by a run that only it has, or by all that it always says. */
  find(expected: string): Set<string> {
    const found = new Set(this.#short.filter((text) => saysAll(expected, text)));
    for (const run of runsOf(expected)) {
      const texts = this.#byRun.get(run);
      for (const text of texts ?? []) if (texts?.size === 1 || saysAll(expected, text)) found.add(text);
    }
    return found;
  }
}

export interface Made extends Message {
  /** Tests that expect it. */
  readonly tests: readonly string[];
}

/** The messages of the packages, in order, each with the tests that make it. */
export function messagesWithTests(root: string, paths: readonly string[], packages: RegExp): Made[] {
  const read = (path: string) => readFileSync(root + path, 'utf8');
  const messages = paths
    .filter((path) => packages.test(path) && !isTest(path))
    .flatMap((path) => messagesOf(path, read(path)));
  const index = new MessageIndex(messages.map(({ text }) => text));
  const tests = new Map<string, Set<string>>();
  for (const path of paths) {
    // What tests the sources themselves makes nothing.
    if (path.startsWith('test/src/source/') || !(isTest(path) || path.startsWith('test/src/'))) continue;
    for (const expected of new Set(expectationsOf(path, read(path)))) {
      for (const text of index.find(expected)) tests.set(text, (tests.get(text) ?? new Set()).add(path));
    }
  }
  return messages.map((message) => ({ ...message, tests: [...(tests.get(message.text) ?? [])] }));
}
