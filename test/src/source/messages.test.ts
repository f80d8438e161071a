import { describe, expect, it } from 'vitest';
import { HOLE, type Made, MessageIndex, messagesOf, messagesWithTests } from './messages.js';
import { root, sourcePaths } from './sources.js';

/** Packages whose messages are listed. */
const LISTED = /^(compiler|runtime|cli|server)\/|^trainer\/src\/compile\//;

/**
 * Files with messages that no test makes, with how many: a device, a browser or a disk has to fail for most. May only
 * shrink.
 */
const unmade: Readonly<Record<string, number>> = {
  'compiler/src/builder.ts': 1,
  'compiler/src/evaluate.ts': 1,
  'compiler/src/gradients.ts': 1,
  'compiler/src/graph.ts': 1,
  'compiler/src/tensor.ts': 1,
  'compiler/src/verify-graph.ts': 1,
  'compiler/src/batching/axis-rules.ts': 3,
  'compiler/src/onnx/any-batch.ts': 1,
  'compiler/src/onnx/cut.ts': 1,
  'compiler/src/onnx/inner-graphs.ts': 1,
  'compiler/src/operators/dims.ts': 1,
  'compiler/src/operators/shape-helpers.ts': 1,
  'compiler/src/onnx/reading/convolution.ts': 1,
  'compiler/src/onnx/reading/node-context.ts': 4,
  'compiler/src/onnx/reading/places.ts': 1,
  'compiler/src/onnx/reading/quantization.ts': 2,
  'compiler/src/onnx/reading/resize.ts': 1,
  'compiler/src/onnx/reading/shapes.ts': 1,
  'compiler/src/onnx/reading/slicing.ts': 1,
  'runtime/src/adapt-one.ts': 1,
  'runtime/src/bundle.ts': 2,
  'runtime/src/images.ts': 1,
  'runtime/src/manifest.ts': 4,
  'runtime/src/pattern.ts': 2,
  'runtime/src/profile-fits.ts': 2,
  'runtime/src/safetensors.ts': 1,
  'runtime/src/weights.ts': 1,
  'runtime/src/web/decode-image.ts': 1,
  'runtime/src/web/webgpu.ts': 1,
  'trainer/src/compile/frozen-part.ts': 1,
  'trainer/src/compile/labels.ts': 1,
  'trainer/src/compile/read/find-features.ts': 1,
  'trainer/src/compile/read/probe-tensors.ts': 2,
  'trainer/src/compile/read/read-head.ts': 2,
  'server/src/problems.ts': 2,
  'server/src/engine/engine-thread.ts': 3,
  'server/src/engine/thread.ts': 1,
  'server/src/request/images.ts': 2,
  'server/src/request/json-thread.ts': 1,
  'server/src/routes/profiles.ts': 1,
  'server/src/stores/copy.ts': 1,
  'server/src/stores/lmdb-folder.ts': 1,
  'server/src/stores/lmdb-inspect.ts': 2,
  'server/src/stores/lmdb.ts': 3,
  'server/src/stores/memory.ts': 1,
  'server/page/src/main.tsx': 1,
  'server/page/src/workers/compute.ts': 1,
  'cli/src/arguments.ts': 1,
  'cli/src/data.ts': 1,
  'cli/src/bench/compare.ts': 1,
  'cli/src/commands/doctor.ts': 1,
  'cli/src/commands/keys.ts': 2,
  'cli/src/commands/page.ts': 1,
  'cli/src/commands/train.ts': 1,
};

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('<', '&lt;');
const linkTo = (path: string): string => `[${path.split('/').at(-1)}](../${path})`;

function listOf(messages: readonly Made[]): string {
  const files = new Map<string, Made[]>();
  for (const message of messages) files.set(message.path, [...(files.get(message.path) ?? []), message]);
  const sections = [...files].map(([path, made]) => {
    const rows = made.map(({ text, tests }) => `| ${cell(text)} | ${tests.slice(0, 2).map(linkTo).join(', ')} |`);
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

  it('is made by a test', () => {
    const counts: Record<string, number> = {};
    for (const { path, tests } of messages) if (tests.length === 0) counts[path] = (counts[path] ?? 0) + 1;
    expect(counts).toEqual(unmade);
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

  it('is made by a test that says something only it says, or all of it', () => {
    const index = new MessageIndex([
      `input "${HOLE}" has no declared shape; give one in inputShapes`,
      `input "${HOLE}" has a value of its own`,
      `the operator ${HOLE} is not supported`,
      `the mode ${HOLE} is not supported`,
      'no canvas',
    ]);
    expect([...index.find('input "x" has no declared shape')]).toEqual([
      `input "${HOLE}" has no declared shape; give one in inputShapes`,
    ]);
    expect([...index.find('is not supported')]).toEqual([]);
    expect([...index.find('Pad "p": the mode edge is not supported')]).toEqual([`the mode ${HOLE} is not supported`]);
    expect([...index.find('there is no canvas')]).toEqual(['no canvas']);
  });
});
