import { posix } from 'node:path';
import { isTest, type Source, workspaceOf } from './sources.js';

/** Which workspaces the files of a workspace may import, besides their own. Tools and tests are no part of a product. */
const workspaceArrows: Readonly<Record<string, readonly string[]>> = {
  compiler: [],
  models: ['compiler'],
  runtime: [],
  trainer: ['compiler', 'models', 'runtime'],
  server: ['runtime', 'server/page'],
  'server/page': ['runtime'],
  cli: ['compiler', 'models', 'runtime', 'trainer', 'server', 'server/page'],
  tools: ['compiler', 'models', 'runtime', 'trainer', 'server', 'server/page', 'cli'],
  test: ['compiler', 'models', 'runtime', 'trainer', 'server', 'server/page', 'cli', 'tools', 'site'],
  site: ['server', 'cli'],
};

/** What is installed with the compiler and with the runtime, which a phone takes: nothing else may be imported there. */
const outside: readonly { readonly files: RegExp; readonly packages: readonly RegExp[] }[] = [
  { files: /^compiler\//, packages: [/^protobufjs/] },
  { files: /^models\/src\/bundles\.ts$/, packages: [/^node:/] },
  { files: /^models\//, packages: [] },
  { files: /^runtime\/src\/node\.ts$/, packages: [/^onnxruntime-common$/, /^node:(fs\/promises|path)$/] },
  { files: /^runtime\/src\/ort-node\.ts$/, packages: [/^onnxruntime-node$/, /^node:module$/] },
  { files: /^runtime\/src\/images\.ts$/, packages: [/^sharp$/] },
  { files: /^runtime\/src\/sharp\.ts$/, packages: [/^sharp$/, /^node:module$/] },
  { files: /^runtime\/src\/image-folders\.ts$/, packages: [/^node:(fs\/promises|path)$/] },
  {
    files: /^runtime\/src\/web(-worker)?(\.ts$|\/)/,
    packages: [/^onnxruntime-(common|web)(\/|$)/, /^idb$/, /^comlink$/],
  },
  { files: /^runtime\//, packages: [/^onnxruntime-common$/, /^@noble\/hashes\//] },
];

/** What the sources import and may not, by file. */
export function strangeImports(sources: readonly Source[]): string[] {
  return sources.flatMap(({ path, imports }) => {
    const own = workspaceOf(path) as string;
    const packages = isTest(path) ? undefined : outside.find(({ files }) => files.test(path))?.packages;
    return imports
      .filter((imported) => {
        const other = workspaceOf(imported);
        if (other === own) return false;
        if (!other) return packages && !packages.some((name) => name.test(imported));
        const byPath = !/^(@whet\/|whet(\/|$))/.test(imported);
        return !workspaceArrows[own]?.includes(other) || (byPath && own !== 'test');
      })
      .map((imported) => `${path} imports ${imported}`);
  });
}

/**
 * The rooms of the trainer, and which others each of them imports. A file beside the rooms is one by itself, but for the
 * package's entry.
 */
export const roomArrows: Readonly<Record<string, readonly string[]>> = {
  statistics: [],
  data: [],
  emoji: ['data'],
  task: [],
  pattern: [],
  preprocessing: [],
  bundle: ['pattern', 'preprocessing'],
  quantize: ['bundle', 'data'],
  backends: ['data', 'statistics', 'task'],
  bench: ['backends', 'data', 'statistics', 'task'],
  training: ['data', 'preprocessing', 'statistics', 'task'],
  export: ['bundle', 'pattern', 'quantize', 'task', 'training'],
  search: ['data', 'export', 'statistics', 'training'],
  'compile/read': ['data'],
  network: ['compile/read', 'pattern'],
  compile: ['bundle', 'compile/read', 'data', 'pattern', 'quantize', 'task'],
  meta: [
    'bundle',
    'compile',
    'compile/read',
    'data',
    'network',
    'pattern',
    'preprocessing',
    'statistics',
    'task',
    'training',
  ],
};

const TRAINER = 'trainer/src/';
/** Folders inside these are of the same room. */
const WHOLE = /^backends\//;

function roomOf(path: string): string | undefined {
  if (!path.startsWith(TRAINER)) return undefined;
  const file = path.slice(TRAINER.length);
  const folder = posix.dirname(file);
  if (folder === '.') return file.replace(/\.[jt]s$/, '');
  return WHOLE.test(file) ? file.slice(0, file.indexOf('/')) : folder;
}

/** Which rooms of the trainer import which. */
export function roomArrowsOf(sources: readonly Source[]): Record<string, string[]> {
  const arrows = new Map<string, Set<string>>();
  for (const { path, imports } of sources) {
    const own = roomOf(path);
    if (own === undefined || own === 'index' || isTest(path)) continue;
    const others = arrows.get(own) ?? new Set();
    arrows.set(own, others);
    for (const imported of imports) {
      const other = roomOf(imported);
      if (other !== undefined && other !== own) others.add(other);
    }
  }
  return Object.fromEntries([...arrows].map(([room, others]) => [room, [...others].sort()]));
}

/** Rooms that lead back to themselves. */
export function circles(arrows: Readonly<Record<string, readonly string[]>>): string[] {
  const reached = (room: string): Set<string> => {
    const found = new Set<string>();
    const open = [room];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      for (const other of arrows[next] ?? []) if (!found.has(other)) open.push(other);
      for (const other of arrows[next] ?? []) found.add(other);
    }
    return found;
  };
  return Object.keys(arrows).filter((room) => reached(room).has(room));
}
