import { readFileSync } from 'node:fs';
import { type Program, parseSync, Visitor } from 'oxc-parser';
import { HOLE, MessageIndex } from './message-index.js';
import { isTest } from './sources.js';

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
  readonly expressions?: readonly Expression[];
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
  readonly start?: number;
}

/** The texts of a constant, and where in the file it is known. */
interface Constant {
  readonly name: string;
  readonly texts: readonly string[];
  readonly from: number;
  readonly to: number;
}

/** Each text of a part with each of the next, in order. */
const joined = (parts: readonly (readonly string[])[]): string[] =>
  parts.reduce<string[]>((texts, part) => texts.flatMap((text) => part.map((next) => text + next)), ['']);

/** The texts that an expression may be, with holes; none where nothing of it is text. */
function textsOf(expression: Expression | undefined, constants: readonly Constant[] = []): readonly string[] {
  if (!expression) return [];
  const within = (part: Expression | undefined) => {
    const texts = textsOf(part, constants);
    return texts.length > 0 ? texts : [HOLE];
  };
  switch (expression.type) {
    case 'Literal':
      return typeof expression.value === 'string' ? [expression.value] : [];
    case 'Identifier':
      return known(expression, constants);
    case 'TemplateLiteral': {
      const fixed = (expression.quasis ?? []).map(({ value }) => [value.cooked ?? '']);
      const names = (expression.expressions ?? []).map((part) => {
        const texts = part.type === 'Identifier' ? within(part) : [];
        return texts.length === 1 ? texts : [HOLE];
      });
      return joined(fixed.flatMap((text, i) => (names[i] ? [text, names[i]] : [text])));
    }
    case 'BinaryExpression':
      return expression.operator === '+' ? joined([within(expression.left), within(expression.right)]) : [];
    case 'ConditionalExpression':
      return [...within(expression.consequent), ...within(expression.alternate)];
    case 'CallExpression': {
      // A list of lines that is joined.
      const { callee } = expression;
      const lines = callee?.property?.name === 'join' ? (callee.object?.elements ?? []) : [];
      return lines.slice(0, 1).flatMap((line) => textsOf(line ?? undefined, constants));
    }
    default:
      return [];
  }
}

/** The texts of the constant that a name means, the one of the nearest block. */
function known({ name, start = 0 }: Expression, constants: readonly Constant[]): readonly string[] {
  const near = constants.filter((each) => each.name === name && each.from <= start && start < each.to);
  return near.reduce<Constant | undefined>((a, b) => (a && a.from > b.from ? a : b), undefined)?.texts ?? [];
}

function constantsOf(program: Program): Constant[] {
  const found: Constant[] = [];
  const blocks: { readonly start: number; readonly end: number }[] = [program];
  new Visitor({
    BlockStatement: (block) => void blocks.push(block),
    'BlockStatement:exit': () => void blocks.pop(),
    VariableDeclaration({ kind, declarations }) {
      const { start, end } = blocks.at(-1) as Program;
      for (const { id, init } of kind === 'const' ? declarations : []) {
        const texts = id.type === 'Identifier' ? textsOf(init as Expression, found) : [];
        if (id.type === 'Identifier' && texts.length > 0) found.push({ name: id.name, texts, from: start, to: end });
      }
    },
  }).visit(program);
  return found;
}

const calledName = (callee: Expression): string => callee.property?.name ?? callee.name ?? '';
/** Two words at least; less is a field, or what stands before a message that is passed on. */
const isMessageText = (text: string): boolean => /\p{L}{2}[^…]*\s[^…]*\p{L}{2}/u.test(text);

/** The messages of a source, each once. One that is all holes passes on another. */
export function messagesOf(path: string, source: string): Message[] {
  const found = new Set<string>();
  const { program } = parseSync(path, source);
  const constants = constantsOf(program);
  const visit = (names: RegExp, callee: Expression, args: readonly Expression[]) => {
    if (!names.test(calledName(callee))) return;
    // An error of input names the field first, a problem its kind and the field.
    const texts = args.slice(0, 3).map((argument) => textsOf(argument, constants).filter(isMessageText));
    for (const text of texts.find((each) => each.length > 0) ?? []) found.add(text);
  };
  new Visitor({
    NewExpression: (node) => visit(CLASSES, node.callee as Expression, node.arguments as Expression[]),
    CallExpression: (node) => visit(FUNCTIONS, node.callee as Expression, node.arguments as Expression[]),
  }).visit(program);
  return [...found].map((text) => ({ path, text }));
}

/** The titles of tests say what they are about, and expect nothing. */
const TITLED = new Set(['describe', 'it', 'test']);
function firstName(callee: Expression | undefined): string | undefined {
  return callee?.name ?? (callee && firstName(callee.object ?? callee.callee));
}

/** What a pattern always says, an alternative after the other. */
const textsOfPattern = (pattern: string): string[] =>
  pattern
    .replaceAll(/\\[dDwWsSb]|\[(?:\\.|[^\]\\])*\]|\((?:\?[:=!])?[^()]*\|[^()]*\)|(?<!\\)\./g, HOLE)
    .replaceAll(/…(?:[*+?]|\{[\d,]*\})+\??/g, HOLE)
    .split('|')
    .map((part) => part.replaceAll(/(?<!\\)(?:\(\?[:=!]|[()^$])/g, '').replaceAll('\\', ''));

/** The texts of a test: what it says of the messages it expects, in strings, templates and patterns. */
function expectationsOf(path: string, source: string): Set<string> {
  const texts = new Set<string>();
  const { program } = parseSync(path, source);
  const constants = constantsOf(program);
  const titles = new Set<unknown>();
  const add = (node: unknown) => {
    if (!titles.has(node)) for (const text of textsOf(node as Expression, constants)) texts.add(text);
  };
  new Visitor({
    CallExpression(node) {
      if (TITLED.has(firstName(node.callee as Expression) ?? '')) titles.add(node.arguments[0]);
    },
    ImportDeclaration: ({ source }) => void titles.add(source),
    Literal(node) {
      if ('regex' in node && node.regex) for (const text of textsOfPattern(node.regex.pattern)) texts.add(text);
      else add(node);
    },
    TemplateLiteral: add,
    BinaryExpression: add,
  }).visit(program);
  return texts;
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
    for (const expected of expectationsOf(path, read(path))) {
      for (const text of index.find(expected)) tests.set(text, (tests.get(text) ?? new Set()).add(path));
    }
  }
  return messages.map((message) => ({ ...message, tests: [...(tests.get(message.text) ?? [])] }));
}
