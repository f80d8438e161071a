import { existsSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import type { MarkdownRenderer } from 'vitepress';
import { isExternal, repository, targetOf } from './documents.js';
import { isPage, sitePlace } from './pages.js';

/** Where the site has files that pages link to and that are no pages. */
export const FILES = 'files';

/** A file's place in the site. Sources are text there, which every browser shows. */
export function filePlace(path: string): string {
  return `${FILES}/${path}${/\.(png|jpe?g|webp|svg|json)$/.test(path) ? '' : '.txt'}`;
}

/** Where a link of a page leads in the site; null where the site has nothing of it, as of a folder. */
export function siteLink(document: string, target: string): string | null {
  if (isExternal(target) || target.startsWith('#')) return target;
  const { path, anchor } = targetOf(document, target);
  const hash = anchor === '' ? '' : `#${anchor}`;
  const readme = posix.join(path, 'README.md');
  const source = [path, readme].find(isPage);
  if (source !== undefined) return `/${sitePlace(source)}${hash}`;
  const file = repository + path;
  return existsSync(file) && statSync(file).isFile() ? `/${filePlace(path)}` : null;
}

/** Makes links between the documents of the repository links between pages of the site. */
export function linkPages(md: MarkdownRenderer): void {
  md.core.ruler.push('whet-links', ({ tokens, env }) => {
    const document = posix.relative(repository, env.realPath ?? env.path);
    for (const { children } of tokens) {
      for (const [i, token] of (children ?? []).entries()) {
        const target = token.type === 'link_open' ? token.attrGet('href') : null;
        if (target === null) continue;
        const link = siteLink(document, target);
        if (link !== null) {
          token.attrSet('href', link);
          if (link.startsWith(`/${FILES}/`)) token.attrSet('target', '_self');
          continue;
        }
        // No link: its text alone.
        const close = (children ?? [])
          .slice(i)
          .find(({ type, level }) => type === 'link_close' && level === token.level);
        for (const each of [token, close]) {
          if (!each) continue;
          each.type = 'text';
          each.tag = '';
          each.content = '';
          each.nesting = 0;
        }
      }
    }
  });
}
