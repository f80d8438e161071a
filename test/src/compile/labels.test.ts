import { numberDuplicates, parseLabels } from '@whet/trainer';
import { describe, expect, it } from 'vitest';

const utf8 = (text: string) => new TextEncoder().encode(text);
const utf16 = (text: string) => new Uint8Array(Buffer.from(text, 'utf16le'));
const utf16be = (text: string) => new Uint8Array(Buffer.from(text, 'utf16le').swap16());

describe('labels', () => {
  it.each([
    ['lines', 'cat\ndog\ncow\n'],
    ['lines of Windows, with a byte order mark', '\ufeffcat\r\ndog\r\ncow\r\n'],
    ['a JSON array', '["cat", "dog", "cow"]'],
    ['a JSON object in any order', '{"2": "cow", "0": "cat", "1": "dog"}'],
    ['a config.json', '{"model_type": "vit", "id2label": {"0": "cat", "1": "dog", "2": "cow"}}'],
    ['Keras’s class index', '{"0": ["n1", "cat"], "1": ["n2", "dog"], "2": ["n3", "cow"]}'],
    ['class_indices, as a Keras generator has them', '{"cow": 2, "cat": 0, "dog": 1}'],
    ['a file of class_indices', '{"class_indices": {"cat": 0, "cow": 2, "dog": 1}}'],
    ['a config.json with label2id alone', '{"label2id": {"dog": 1, "cat": 0, "cow": 2}, "num_labels": 3}'],
    ['a label2id whose indices are text', '{"label2id": {"dog": "1", "cat": "0", "cow": "2"}}'],
    ['names and indices as text', '{"dog": "1", "cat": "0", "cow": "2"}'],
    ['a JSON array of several lines', '[\n  "cat",\n  "dog",\n  "cow"\n]'],
    ['names in a larger file', '{"names": ["cat", "dog", "cow"]}'],
  ])('are read from %s', (_, text) => {
    for (const bytes of [utf8(text), utf16(`\ufeff${text}`), utf16be(`\ufeff${text}`), utf16(text), utf16be(text)]) {
      if (text.startsWith('\ufeff') && bytes[0] !== 0xef) continue;
      expect(parseLabels(bytes, 'labels')).toEqual(['cat', 'dog', 'cow']);
    }
  });

  it.each([
    ['broken JSON', '["cat", ', /f: starts as JSON and is not/],
    ['numbers', '["cat", 3]', /f: label 1: expected text, got 3/],
    ['a gap', '{"0": "cat", "2": "cow"}', /f: expected the indices 0 to 1, each once, got "2"/],
    ['other keys', '{"cat": "a"}', /f: expected the indices 0 to 0, each once, got "cat"/],
    ['broken JSON of several lines', '["cat",\n"dog"\n', /f: starts as JSON and is not/],
    [
      'indices that are no numbers',
      '{"label2id": {"cat": "0", "cow": "b"}}',
      /f: label2id: expected the indices .* "cat"/,
    ],
    [
      'an index too large, as text',
      '{"cat": "0", "cow": "2"}',
      /f: expected the indices 0 to 1, each once, got 2 for "cow"/,
    ],
    ['an index of two names', '{"cat": 0, "cow": 0}', /f: expected the indices .*, got 0 for "cat" and "cow"/],
    ['a gap between names', '{"id2label": 1, "label2id": {"cat": 0, "cow": 2}}', /f: label2id: .* got 2 for "cow"/],
  ])('are refused from %s', (_, text, message) => {
    expect(() => parseLabels(utf8(text), 'f')).toThrow(message);
  });

  it('are refused from bytes that are no text', () => {
    const latin1 = new Uint8Array(Buffer.from('caf\xe9\n', 'latin1'));
    expect(() => parseLabels(latin1, 'f')).toThrow('f: expected text in UTF-8 or UTF-16, got bytes that are not utf-8');
  });

  it('may be digits', () => {
    expect(parseLabels(utf8('{"0": "1", "1": "0"}'), 'f')).toEqual(['1', '0']);
    expect(parseLabels(utf8('{"label2id": {"0": "1", "1": "2", "7": "0"}}'), 'f')).toEqual(['7', '0', '1']);
  });

  it('may stand in brackets', () => {
    expect(parseLabels(utf8('[PAD]\n[unused 1]\ncat'), 'f')).toEqual(['[PAD]', '[unused 1]', 'cat']);
    expect(parseLabels(utf8('{start}\r\ncat\r\n'), 'f')).toEqual(['{start}', 'cat']);
  });

  it('keep an empty line, which is no name, and are none in an empty file', () => {
    expect(parseLabels(utf8('a\n\nb'), 'f')).toEqual(['a', '', 'b']);
    expect(parseLabels(utf8(' \n'), 'f')).toEqual([]);
  });

  it('are numbered where another is the same, and no number is one that is there', () => {
    expect(numberDuplicates(['crane', 'crane (2)', 'cat', 'crane', 'crane', 'caf\u00e9', 'cafe\u0301'])).toEqual([
      ...['crane', 'crane (2)', 'cat', 'crane (3)', 'crane (4)', 'caf\u00e9', 'cafe\u0301 (2)'],
    ]);
  });
});
