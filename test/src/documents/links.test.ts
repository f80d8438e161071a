import { existsSync } from 'node:fs';
import { documentPaths, isExternal, readDocument, repository, targetOf } from '@whet/site/documents';
import { describe, expect, it } from 'vitest';

const documents = new Map(documentPaths().map((path) => [path, readDocument(path)]));

/** What is wrong with a link; undefined where it leads somewhere. */
function faultOf(document: string, target: string): string | undefined {
  if (isExternal(target)) {
    const whole = /^(https:\/\/|mailto:[^@]+@)[\w-]+(\.[\w-]+)+(\/|$)/.test(target) && URL.canParse(target);
    return whole ? undefined : 'expected an address of https, or of mail';
  }
  const { path, anchor } = targetOf(document, target);
  if (path.startsWith('..')) return 'leads out of the repository';
  if (!existsSync(repository + path)) return `there is no ${path}`;
  if (anchor === '') return undefined;
  const anchors = documents.get(path)?.anchors ?? new Set();
  return anchors.has(anchor) ? undefined : `${path} has no heading #${anchor}`;
}

describe('a link in a document', () => {
  it('leads to a file, and a heading in it, that are there', () => {
    const links = [...documents.values()].flatMap((document) => document.links);
    expect(links.length).toBeGreaterThan(500);
    const faults = links.map(({ where, document, target }) => [`${where}: ${target}`, faultOf(document, target)]);
    expect(faults.filter(([, fault]) => fault !== undefined)).toEqual([]);
  });

  it.each([
    ['nowhere.md', 'there is no docs/nowhere.md'],
    ['training.md#nothing', 'docs/training.md has no heading #nothing'],
    ['#nothing', 'docs/compile.md has no heading #nothing'],
    ['../../else', 'leads out of the repository'],
    ['http://example.org', 'expected an address of https, or of mail'],
    ['https://example', 'expected an address of https, or of mail'],
    ['#blocks', undefined],
    ['../runtime/README.md#install', undefined],
    ['https://example.org/a#b', undefined],
    ['mailto:a@example.org', undefined],
  ])('to %s is told apart', (target, fault) => {
    expect(faultOf('docs/compile.md', target)).toBe(fault);
  });

  it('names headings as their readers do, and counts those that are alike', () => {
    const text = '# `loadBundle(place, { patterns })` & more\n\n## 3. The rule says\n\n## Twice\n\n## Twice\n';
    expect([...readDocument('a.md', text).anchors]).toEqual([
      'loadbundleplace--patterns---more',
      '3-the-rule-says',
      'twice',
      'twice-1',
    ]);
  });
});
