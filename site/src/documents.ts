import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { slug } from 'github-slugger';
import MarkdownIt, { type Token } from 'markdown-it';

/** The root of the repository, with a slash at its end. */
export const repository = fileURLToPath(new URL('../../', import.meta.url));

/** Folders that no person wrote. */
const MADE = new Set(['node_modules', 'dist', 'build', 'coverage', 'runs', 'target', 'generated']);

/** A block of code. */
export interface Block {
  /** The document's path from the root of the repository, and the line that opens the block: what a failure names. */
  readonly where: string;
  readonly document: string;
  /** What stands behind the fence; empty where nothing does, or the block is indented. */
  readonly language: string;
  readonly text: string;
}

/** A text, and the line of the document where what it stands in begins. */
interface Located {
  readonly where: string;
  readonly text: string;
}

/** A link or a picture. */
interface Link {
  readonly where: string;
  readonly document: string;
  readonly target: string;
}

/** A Markdown file: what in it can be wrong. */
export interface Document {
  readonly path: string;
  readonly blocks: readonly Block[];
  readonly links: readonly Link[];
  /** Code in its prose. */
  readonly spans: readonly Located[];
  /** What else a page reads as a template: tags of HTML, and `{{` in prose. */
  readonly markup: readonly Located[];
  /** Ids of its headings. */
  readonly anchors: ReadonlySet<string>;
}

/** Paths of all Markdown files, from the root of the repository. */
export function documentPaths(folder = ''): string[] {
  return readdirSync(repository + folder, { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) return MADE.has(entry.name) || entry.name.startsWith('.') ? [] : documentPaths(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

const markdown = new MarkdownIt({ html: true });

/** Text of a heading, as it is read. */
const textOf = (token: Token | undefined): string =>
  (token?.children ?? []).map(({ type, content }) => (type === 'image' ? '' : content)).join('');

export function readDocument(path: string, text = readFileSync(repository + path, 'utf8')): Document {
  const blocks: Block[] = [];
  const links: Link[] = [];
  const spans: Located[] = [];
  const markup: Located[] = [];
  const anchors = new Set<string>();
  const tokens = markdown.parse(text, {});
  for (const [i, token] of tokens.entries()) {
    const where = `${path}:${(token.map?.[0] ?? 0) + 1}`;
    if (token.type === 'fence' || token.type === 'code_block') {
      blocks.push({ where, document: path, language: token.info.trim(), text: token.content });
    }
    if (token.type === 'heading_open') {
      const name = slug(textOf(tokens[i + 1]));
      let own = name;
      for (let n = 1; anchors.has(own); n++) own = `${name}-${n}`;
      anchors.add(own);
    }
    for (const child of token.children ?? []) {
      const target = child.attrGet('href') ?? child.attrGet('src');
      if (target !== null) links.push({ where, document: path, target });
      if (child.type === 'code_inline') spans.push({ where, text: child.content });
      if (child.type === 'html_inline' || (child.type === 'text' && child.content.includes('{{'))) {
        markup.push({ where, text: child.content });
      }
    }
    if (token.type === 'html_block') markup.push({ where, text: token.content.trim() });
  }
  return { path, blocks, links, spans, markup, anchors };
}

/** Whether a link leads out of the repository. */
export const isExternal = (target: string): boolean => /^[a-z][a-z+.-]*:|^\/\//i.test(target);

/** What a link within the repository is to: a path from its root, and the part behind `#`. */
export function targetOf(document: string, target: string): { readonly path: string; readonly anchor: string } {
  const [file = '', anchor = ''] = target.split('#', 2);
  const path = file === '' ? document : posix.join(posix.dirname(document), decodeURIComponent(file));
  return { path: path.replace(/\/$/, ''), anchor: decodeURIComponent(anchor) };
}
