import { expect, test } from 'vitest';
import { curlExamples } from './curl.js';

test('writes plain lines where nothing needs quotes', () => {
  const examples = [
    { label: 'one', path: 'images/one/a.png' },
    { label: 'two', path: 'images/two/a.png' },
  ];
  const lines = curlExamples('http://127.0.0.1:8080', { examples, queries: ['images/one/b.png', 'images/two/b.png'] });
  expect(lines).toHaveLength(3);
  expect(lines[0]).toBe('curl -s http://127.0.0.1:8080/health; echo');
  expect(lines[1]).toContain('/adapt -F one=@images/one/a.png -F two=@images/two/a.png)');
  expect(lines[2]).toContain('-F image=@images/one/b.png -F image=@images/two/b.png;');
});

test('quotes for the shell and for curl', () => {
  const examples = [{ label: "it's", path: 'my images/a, "b".png' }];
  const [, adapt] = curlExamples('http://[::1]:80', { examples, queries: [] });
  expect(adapt).toContain(`'http://[::1]:80/adapt' -F 'it'\\''s=@"my images/a, \\"b\\".png"'`);
});

test.each(['=', 'a=b', 'a\nb'])('refuses label %j, which curl cannot name a field', (label) => {
  const examples = [{ label, path: 'a.png' }];
  expect(() => curlExamples('http://localhost', { examples, queries: [] })).toThrow(
    new RangeError(`label "${label}": curl cannot send a form field of this name`),
  );
});
