import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync, Visitor } from 'oxc-parser';

export const root = fileURLToPath(new URL('../../../', import.meta.url));

/** The workspaces, each with its sources in `src`. */
const workspaces = [
  'compiler',
  'models',
  'runtime',
  'trainer',
  'server',
  'server/page',
  'cli',
  'tools',
  'test',
  'site',
] as const;

/** A source file, by its path from the root of the repository, and what it says about other files. */
export interface Source {
  readonly path: string;
  /** What it imports or exports anew, types too: a path from the root for a file of the repository, else as it is written. */
  readonly imports: readonly string[];
  /** Names that it exports and that are made here. */
  readonly exports: readonly string[];
}

/** Throws where the text cannot be parsed. */
export function parseSource(path: string, text: string): Source {
  const { module, program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`);
  const specifiers = new Set(module.staticImports.map(({ moduleRequest }) => moduleRequest.value));
  const exports: string[] = [];
  for (const { moduleRequest, exportName } of module.staticExports.flatMap(({ entries }) => entries)) {
    if (moduleRequest) specifiers.add(moduleRequest.value);
    else if (exportName.name) exports.push(exportName.name);
  }
  new Visitor({
    ImportExpression({ source }) {
      if (source.type === 'Literal') specifiers.add(String(source.value));
    },
    TSImportType({ source }) {
      specifiers.add(source.value);
    },
  }).visit(program);
  const imports = [...specifiers].map((specifier) =>
    specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier,
  );
  return { path, imports, exports };
}

/** All sources of the workspaces, tests too. */
export const readSources = (): readonly Source[] =>
  sourcePaths().map((path) => parseSource(path, readFileSync(root + path, 'utf8')));

/** Their paths from the root of the repository. */
export const sourcePaths = (): string[] =>
  workspaces.flatMap((workspace) =>
    readdirSync(`${root}${workspace}/src`, { recursive: true, encoding: 'utf8' })
      .map((file) => `${workspace}/src/${file.replaceAll('\\', '/')}`)
      .filter((path) => /\.tsx?$/.test(path) && !path.endsWith('.d.ts')),
  );

/** The workspace of a path, or of what is imported by the name of one. */
export function workspaceOf(path: string): string | undefined {
  const named = /^@whet\/([a-z]+)/.exec(path)?.[1];
  if (/^whet(\/|$)/.test(path)) return 'cli';
  if (named) return named === 'page' ? 'server/page' : named;
  return workspaces.findLast((workspace) => path.startsWith(`${workspace}/`));
}

/** Tests, and what only tests import. */
export const isTest = (path: string): boolean => /\.test\.(helper\.)?[jt]s$/.test(path);
