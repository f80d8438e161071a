import { describe, expect, it } from 'vitest';
import { HOLE, MessageIndex } from './message-index.js';
import { type Made, messagesOf, messagesWithTests } from './messages.js';
import { root, sourcePaths } from './sources.js';

/** Packages whose messages are listed. */
const LISTED = /^(compiler|runtime|cli|server)\/|^trainer\/src\/compile\//;

/** Messages that no test makes, with what would have to happen for them. */
const unmade: Readonly<Record<string, string>> = {
  'the database was closed': 'a browser deletes its IndexedDB under an open page',
  [`no answer in ${HOLE} s`]: 'a GPU hangs',
  [`${HOLE}, after step ${HOLE}${HOLE}`]: 'a GPU is lost, or has no memory left, in the middle of a run',
  'a thread of the engine sent what cannot be read': 'Node.js cannot decode what its own thread sent',
  'this browser gives no canvas': 'a browser has no memory for a canvas',
  'the model is not loaded': 'the page asks before it has a model: its buttons wait for one',
  'expected an open bundle': 'the page asks its worker before it has a model',
};

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('<', '&lt;');
const linkTo = (path: string): string => `[${path.split('/').at(-1)}](../${path})`;

/** Two of the tests that make a message, or when it comes without one. */
const makersOf = (text: string, tests: readonly string[]): string =>
  tests.slice(0, 2).map(linkTo).join(', ') || `no test: where ${unmade[text] ?? ''}`;

function listOf(messages: readonly Made[]): string {
  const files = new Map<string, Made[]>();
  for (const message of messages) files.set(message.path, [...(files.get(message.path) ?? []), message]);
  const sections = [...files].map(([path, made]) => {
    const rows = made.map(({ text, tests }) => `| ${cell(text)} | ${makersOf(text, tests)} |`);
    return [`## ${path}`, '', '| message | made by |', '|---|---|', ...rows, ''].join('\n');
  });
  return [
    '# Messages',
    '',
    `What the compiler, the runtime, the service, \`whet compile\` and the commands say when something does not fit, with tests that make it. \`${HOLE}\` stands`,
    'for what is only known then. A node, a file or an option stands before most. Read from the sources; written anew by `npx vitest run test/src/source/messages.test.ts -u`.',
    '',
    ...sections,
  ].join('\n');
}

describe('every message of an error', () => {
  const messages = messagesWithTests(root, sourcePaths(), LISTED);

  it('is made by a test, or is an exception with its reason', () => {
    const lacking = messages.filter(({ tests }) => tests.length === 0).map(({ text }) => text);
    // Neither more nor fewer: one that has a test is no exception.
    expect(lacking.sort()).toEqual(Object.keys(unmade).sort());
  });

  it('is listed', async () => {
    await expect(listOf(messages)).toMatchFileSnapshot(`${root}docs/messages.md`);
  });
});

describe('a message', () => {
  it('is found where an error is made, in all its forms', () => {
    const source = [
      `throw new Error(\`x "$\{name}": expected a, \` + \`got $\{b}\`);`,
      "fail(wide ? 'too wide' : 'too high');",
      "new OnnxError(['these nodes:', ...lines].join('\\n'));",
      `new Problem('invalid-input', 'field', \`expected text, got $\{d}\`); new InputError('the.field', 'expected more');`,
      'throw new Error(reason); new Map([["no message", 1]]);',
    ].join('\n');
    expect(messagesOf('a.ts', source).map(({ text }) => text)).toEqual([
      `x "${HOLE}": expected a, got ${HOLE}`,
      'too wide',
      'too high',
      'these nodes:',
      `expected text, got ${HOLE}`,
      'expected more',
    ]);
  });

  it('names the constants that are written into it', () => {
    const source = [
      "const LIMIT = 'at most 5';",
      `function first() { const got = 'none'; throw new Error(\`expected $\{LIMIT}, got $\{got}\`); }`,
      `function second(got) { fail(\`expected $\{LIMIT} here, got $\{got}\`); }`,
      "function third(bad) { const got = bad ? 'no cat' : show(bad); fail(got); }",
    ].join('\n');
    expect(messagesOf('a.ts', source).map(({ text }) => text)).toEqual([
      'expected at most 5, got none',
      `expected at most 5 here, got ${HOLE}`,
      'no cat',
    ]);
  });

  const index = new MessageIndex([
    `input "${HOLE}" has no declared shape; give one in inputShapes`,
    `input "${HOLE}" has a value of its own`,
    `the operator ${HOLE} is not supported`,
    `the mode ${HOLE} is not supported`,
    `${HOLE}: expected ${HOLE}, got ${HOLE}`,
    `${HOLE}: expected at most ${HOLE} classes, got ${HOLE}`,
    `the file cannot be read: ${HOLE}`,
    'it is not in the archive',
    'no canvas',
  ]);

  it.each<[string, string[]]>([
    ['input "x" has no declared shape', [`input "${HOLE}" has no declared shape; give one in inputShapes`]],
    ['Pad "p": the mode edge is not supported', [`the mode ${HOLE} is not supported`]],
    ['there is no canvas', ['no canvas']],
    ['m.json: expected at most 5 classes, got 6', [`${HOLE}: expected at most ${HOLE} classes, got ${HOLE}`]],
    ['m.json: expected a list, got 6', [`${HOLE}: expected ${HOLE}, got ${HOLE}`]],
    [
      'the file cannot be read: it is not in the archive',
      [`the file cannot be read: ${HOLE}`, 'it is not in the archive'],
    ],
  ])('is made by a test that says %j', (text, messages) => {
    expect([...index.find(text)]).toEqual(messages);
  });

  it.each([
    'is not supported',
    'an input "x" has no declared shapes of its own',
    'piano canvas',
    'a model whose input has no declared shape',
    'the modern is not supported',
  ])('is not made by one that says %j', (text) => {
    expect([...index.find(text)]).toEqual([]);
  });
});
