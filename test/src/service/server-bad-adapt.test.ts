import { afterAll, beforeAll, describe, test } from 'vitest';
import { formOf, post, postText, startTestServer, type TestServer, tensorOf } from './server-fixture.js';
import {
  type BadBody,
  expectRefusal,
  file,
  goodExamples,
  image,
  imageCases,
  labelCases,
  tensorCases,
  tensorWith,
} from './server-refusals.js';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

/** Good examples, then one that is not. */
const withExample = (example: unknown) => ({ examples: [...goodExamples(), example] });

describe('POST /adapt refuses', () => {
  const cases: BadBody[] = [
    ['no examples', () => ({}), { status: 400, field: 'examples', detail: /an array, got nothing/ }],
    ['an empty list', () => ({ examples: [] }), { status: 422, field: 'examples', detail: /got none/ }],
    ['an array', () => [], { status: 422, field: 'body', detail: /an object, got an array of 0/ }],
    ['null', () => null, { status: 422, field: 'body', detail: /an object, got null/ }],
    [
      'examples that are no list',
      () => ({ examples: 'left' }),
      { status: 422, field: 'examples', detail: /an array, got "left"/ },
    ],
    [
      'an unknown member',
      () => ({ examples: goodExamples(), setps: 3 }),
      {
        status: 422,
        field: 'setps',
        detail:
          /only model, pattern, budgetMs, steps, rate, always, remember, anchor, profile, continue, version, examples/,
      },
    ],
    [
      'an unknown member of an example',
      () => withExample({ label: 'a', image, shape: [1, 2] }),
      { status: 422, field: 'examples[2].shape', detail: /only label, image, tensor/ },
    ],
    [
      'one class only',
      () => ({ examples: [goodExamples()[0], goodExamples()[0]] }),
      { status: 422, field: 'examples', detail: /expected examples of at least 2 classes, got only .left.$/ },
    ],
    [
      'too many classes',
      () => ({ examples: [1, 2, 3, 4, 5, 6].map((i) => ({ label: `${i}`, tensor: tensorOf('top') })) }),
      { status: 422, field: 'examples', detail: /expected at most 5 classes, got 6/ },
    ],
    [
      'too many examples',
      () => ({ examples: Array.from({ length: 13 }, (_, i) => ({ label: `${i % 2}`, image })) }),
      { status: 413, field: 'examples', detail: /expected at most 12 examples, got 13/ },
    ],
    [
      'millions of examples, without looking at each',
      () => ({ examples: new Array(8_000_000).fill(0) }),
      { status: 413, field: 'body', detail: /at most 100000 numbers, got more/ },
    ],
    [
      'thousands of examples, without looking at each',
      () => ({ examples: new Array(80_000).fill(0) }),
      { status: 413, field: 'examples', detail: /at most 12 examples, got 80000/ },
    ],
    [
      'what continues nothing',
      () => ({ examples: goodExamples(), continue: true }),
      { status: 400, field: 'profile', detail: /expected the id of a profile beside "continue", got nothing/ },
    ],
    ['no label', () => withExample({ image }), { status: 400, field: 'examples[2].label', detail: /got nothing/ }],
    [
      'a label that is no text',
      () => withExample({ label: 7, image }),
      { status: 422, field: 'examples[2].label', detail: /text, got 7/ },
    ],
    ...labelCases((label) => withExample({ label, image })),
    [
      'an example without an image',
      () => withExample({ label: 'a' }),
      { status: 400, field: 'examples[2].image', detail: /expected "image" or "tensor", got neither/ },
    ],
    [
      'an example with two',
      () => withExample({ label: 'a', image, tensor: tensorOf('top') }),
      { status: 422, field: 'examples[2].image', detail: /got both/ },
    ],
    [
      'an example that is no object',
      () => withExample('left'),
      { status: 422, field: 'examples[2]', detail: /an object, got "left"/ },
    ],
    ...imageCases((value) => [withExample({ label: 'a', image: value() }), 'examples[2].image']),
    ...tensorCases((value) => [withExample({ label: 'a', tensor: value }), 'examples[2].tensor']),
    [
      'an unknown model',
      () => ({ examples: goodExamples(), model: 'large' }),
      { status: 404, field: 'model', detail: /expected one of tiny, other, got .large.$/ },
    ],
    [
      'a model by the name of a prototype',
      () => ({ examples: goodExamples(), model: '__proto__' }),
      { status: 404, field: 'model', detail: /got "__proto__"/ },
    ],
    ...['dense', 'constructor', '__proto__', ''].map(
      (pattern): BadBody => [
        `pattern ${JSON.stringify(pattern)}`,
        () => ({ examples: goodExamples(), pattern }),
        { status: 422, field: 'pattern', detail: /one of full, head, .*sparse, auto, got "/ },
      ],
    ),
    ...[-1, 101, 1.5, '3', null].map(
      (steps): BadBody => [
        `steps ${JSON.stringify(steps)}`,
        () => ({ examples: goodExamples(), steps }),
        { status: 422, field: 'steps', detail: /a whole number from 0 to 100, got / },
      ],
    ),
    ...[0, -0.1, 10.5, '0.1', null].map(
      (rate): BadBody => [
        `rate ${JSON.stringify(rate)}`,
        () => ({ examples: goodExamples(), rate }),
        { status: 422, field: 'rate', detail: /a number above 0 and at most 10, got / },
      ],
    ),
    [
      'images of which the network computes no numbers',
      () => ({
        examples: [
          { label: 'a', tensor: tensorOf('left').map((v) => v * 1e30) },
          { label: 'b', tensor: tensorOf('top').map((v) => v * 1e30) },
        ],
        pattern: 'full',
      }),
      {
        status: 422,
        field: 'examples',
        detail: /expected images of which the network computes finite values, got a loss of/,
      },
    ],
  ];
  test.each(cases)('%s', async (_what, body, refusal) => {
    await expectRefusal(server, () => post(`${server.url}/adapt`, body()), refusal);
  });

  test('numbers that JSON can spell and float32 cannot hold', async () => {
    const text = JSON.stringify(withExample({ label: 'a', tensor: tensorWith(-7.5) })).replace('-7.5', '1e999');
    const refusal = { status: 422, field: 'examples[2].tensor[7]', detail: /finite float32 number, got Infinity/ };
    await expectRefusal(server, () => postText(`${server.url}/adapt`, text), refusal);
    await expectRefusal(server, () => postText(`${server.url}/adapt`, text.replace('1e999', '1e39')), refusal);
    await expectRefusal(server, () => postText(`${server.url}/adapt`, text.replace('1e999', 'NaN')), {
      status: 400,
      field: 'body',
      detail: /expected JSON/,
    });
  });
});

describe('POST /adapt refuses a form', () => {
  const cases: BadBody[] = [
    [
      'without files',
      () => formOf([['steps', '1']]),
      { status: 400, field: 'examples', detail: /expected image files whose field names are their labels, got none/ },
    ],
    [
      'of one class',
      () => formOf([1, 2].map(() => ['left', file])),
      { status: 422, field: 'examples', detail: /at least 2 classes/ },
    ],
    [
      'of too many files',
      () => formOf(Array.from({ length: 13 }, (_, i) => [`${i % 2}`, file])),
      { status: 413, field: 'body', detail: /at most 12 files, got more/ },
    ],
    [
      'of too many texts',
      () => formOf(Array.from({ length: 17 }, (_, i) => [`${i}`, ''])),
      { status: 413, field: 'body', detail: /expected at most 16 text fields, got more/ },
    ],
    [
      'with an unknown text field',
      () =>
        formOf([
          ['left', file],
          ['top', 'top.png'],
        ]),
      { status: 422, field: 'top', detail: /only model, pattern, budgetMs, steps, rate/ },
    ],
    [
      'with a text of 5 kB',
      () => formOf([['model', 'x'.repeat(5000)]]),
      { status: 422, field: 'model', detail: /expected a text of at most 4096 bytes, got more/ },
    ],
    [
      'with an option sent twice',
      () =>
        formOf([
          ['left', file],
          ['steps', '1'],
          ['steps', '2'],
        ]),
      { status: 422, field: 'steps', detail: /got an array of 2/ },
    ],
    [
      'with an option in brackets',
      () =>
        formOf([
          ['left', file],
          ['steps[999999999]', '1'],
        ]),
      { status: 422, field: 'steps[999999999]', detail: /a form field's name/ },
    ],
    [
      'with steps that are no number',
      () =>
        formOf([
          ['left', file],
          ['steps', '0x10'],
        ]),
      { status: 422, field: 'steps', detail: /whole number from 0 to 100, got "0x10"/ },
    ],
    ...labelCases((label) =>
      formOf([
        ['left', file],
        [label, file],
      ]),
    )
      // Of these a form cannot say the one, and says the others in its own way.
      .filter(([what]) => !/surrogate|nothing|control|line break/.test(what))
      .map(([what, form, refusal]): BadBody => [what, form, { ...refusal, field: 'examples[1].label' }]),
    [
      'with a label of two lines',
      () => formOf([['a\nb', file]]),
      { status: 422, field: 'examples[0].label', detail: /without control characters, got "a\\r\\nb"/ },
    ],
    [
      'with a label of nothing',
      () => formOf([['', file]]),
      { status: 400, field: 'body', detail: /a name for each field, got a field without one/ },
    ],
    [
      'with a text as a file',
      () =>
        formOf([
          ['left', file],
          ['top', Buffer.from('hello')],
        ]),
      { status: 415, field: 'examples[1].image', detail: /PNG, JPEG or WebP image, got 5 bytes/ },
    ],
    [
      'with an empty file',
      () =>
        formOf([
          ['left', file],
          ['top', new Uint8Array()],
        ]),
      { status: 422, field: 'examples[1].image', detail: /got no bytes/ },
    ],
    [
      'with a truncated file',
      () =>
        formOf([
          ['left', file],
          ['top', file.subarray(0, 60)],
        ]),
      { status: 422, field: 'examples[1].image', detail: /damaged or cut short/ },
    ],
  ];
  test.each(cases)('%s', async (_what, form, refusal) => {
    await expectRefusal(server, () => post(`${server.url}/adapt`, form()), refusal);
  });

  test('with labels that are not UTF-8, which would all become one', async () => {
    const part = (name: string) => `--x\r\nContent-Disposition: form-data; name="${name}"; filename="a"\r\n\r\n\r\n`;
    const body = new Uint8Array(Buffer.from(`${part('\u00e9')}${part('\u00fc')}--x--\r\n`, 'latin1'));
    const response = () => postText(`${server.url}/adapt`, body, { 'Content-Type': 'multipart/form-data; boundary=x' });
    await expectRefusal(server, response, { status: 422, field: 'examples[0].label', detail: /got what is not UTF-8/ });
  });

  test.each([
    ['multipart/form-data', '', /expected a whole multipart\/form-data body, got /],
    ['multipart/form-data; boundary=', '', /got a header that cannot be read/],
    ['multipart/form-data; boundary=x', 'no boundary in sight'],
    ['multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\nabc'],
    ['multipart/form-data; boundary=x', `--x\r\nContent-Disposition: form-data; name="${'a'.repeat(20_000)}`],
    [
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; filename="a.png"\r\n\r\nabc\r\n--x--\r\n',
    ],
  ] as [string, string, RegExp?][])('that is broken: %s, %.60j', async (type, body, detail = /./) => {
    const response = () => postText(`${server.url}/adapt`, body, { 'Content-Type': type });
    await expectRefusal(server, response, { status: 400, field: 'body', detail });
  });
});
