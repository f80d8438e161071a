import { parseLabels } from '@whet/trainer';
import { describe, expect, it } from 'vitest';

describe('labels', () => {
  it.each([
    ['lines', 'cat\ndog\ncow\n'],
    ['lines of Windows, with a byte order mark', '\ufeffcat\r\ndog\r\ncow\r\n'],
    ['a JSON array', '["cat", "dog", "cow"]'],
    ['a JSON object in any order', '{"2": "cow", "0": "cat", "1": "dog"}'],
    ['a config.json', '{"model_type": "vit", "id2label": {"0": "cat", "1": "dog", "2": "cow"}}'],
  ])('are read from %s', (_, text) => {
    expect(parseLabels(text, 'labels')).toEqual(['cat', 'dog', 'cow']);
  });

  it.each([
    ['broken JSON', '["cat", ', /f: starts as JSON and is not/],
    ['numbers', '["cat", 3]', /f: label 1: expected text, got 3/],
    ['a gap', '{"0": "cat", "2": "cow"}', /f: expected the indices 0 to 1 as keys, got "2"/],
    ['other keys', '{"cat": "0"}', /f: expected the indices 0 to 0 as keys, got "cat"/],
  ])('are refused from %s', (_, text, message) => {
    expect(() => parseLabels(text, 'f')).toThrow(message);
  });

  it('keep an empty line, which is no name, and are none in an empty file', () => {
    expect(parseLabels('a\n\nb', 'f')).toEqual(['a', '', 'b']);
    expect(parseLabels(' \n', 'f')).toEqual([]);
  });
});
