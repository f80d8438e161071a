import { existsSync, readFileSync } from 'node:fs';
import { documentPaths, readDocument, repository } from '@whet/site/documents';
import { siteLink } from '@whet/site/links';
import { entries, GENERATED, guide, HOME, sitePlace, sources } from '@whet/site/pages';
import { describe, expect, it } from 'vitest';

describe('the site of the documents (npm run docs)', () => {
  it('names pages that are there, each once, at places of their own', () => {
    expect(sources.filter((source) => !source.startsWith(GENERATED) && !existsSync(repository + source))).toEqual([]);
    expect(sources.filter((source, i) => sources.indexOf(source) !== i)).toEqual([]);
    const places = sources.map(sitePlace);
    expect(places.filter((place, i) => places.indexOf(place) !== i)).toEqual([]);
    for (const { pages } of guide) expect(new Set(pages.map(({ text }) => text)).size).toBe(pages.length);
  });

  it('has every document', () => {
    expect(documentPaths().filter((path) => !sources.includes(path))).toEqual([]);
  });

  it('finds nothing in them that VitePress would take for a component or a template', () => {
    const documents = documentPaths().map((path) => readDocument(path));
    const markup = documents.flatMap((document) => document.markup);
    expect(
      markup.filter(({ text }) => !/^<(br|\/?(sub|sup|details|summary))>$|^<HttpReference \/>$/.test(text)),
    ).toEqual([]);
    expect(readDocument('a.md', 'A `{{ b }}` of <c> and {{ d }}').markup.map(({ text }) => text)).toEqual([
      '<c>',
      ' and {{ d }}',
    ]);
  });

  it('describes every entry of the packages', () => {
    expect([...entries.keys()]).toEqual(expect.arrayContaining(['@whet/runtime/node', '@whet/server', '@whet/page']));
    for (const source of entries.values()) expect(existsSync(repository + source), source).toBe(true);
  });

  it('leads from its front to pages that are there', () => {
    const links = [...readFileSync(repository + HOME, 'utf8').matchAll(/link: \/(\S+)/g)].map(
      ([, place]) => `${place}.md`,
    );
    expect(links.length).toBeGreaterThan(5);
    expect(links.filter((place) => !sources.map(sitePlace).includes(place))).toEqual([]);
  });

  it('makes links between documents links between pages, and files texts', () => {
    const linkOf = (target: string) => siteLink('docs/compile.md', target);
    expect(linkOf('bench.md#a')).toBe('/bench.md#a');
    expect(linkOf('../runtime/README.md')).toBe('/runtime.md');
    expect(linkOf('../models/demo')).toBe('/models/demo.md');
    expect(linkOf('../deploy/whet.json')).toBe('/files/deploy/whet.json');
    expect(linkOf('../examples/python/whet.py')).toBe('/files/examples/python/whet.py.txt');
    expect(linkOf('../test/tables')).toBeNull();
    expect(linkOf('#blocks')).toBe('#blocks');
    expect(linkOf('https://example.org')).toBe('https://example.org');
  });
});
