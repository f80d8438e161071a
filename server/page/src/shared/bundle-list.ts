/** `bundles/index.json`: the bundles that stand beside the page, by the names of their folders; the first is shown first. */
export interface BundleList {
  readonly bundles: readonly string[];
}

export const BUNDLE_LIST = 'bundles/index.json';

/** The files of the page, as a list of their paths: a service worker that is older than the page asks for those that it does not know. */
export const BUILT_FILES = 'files.json';

/** Names in letters, digits, `.`, `-` and `_`, with `/` between them: of files below a folder, and with nothing else in them. */
const isPath = (path: unknown): path is string =>
  typeof path === 'string' && /^[\w.-]+(\/[\w.-]+)*$/.test(path) && !path.split('/').includes('..');

/** The names of bundles in a list as it was read. */
export function bundlesIn(list: unknown): readonly string[] {
  const { bundles } = (list ?? {}) as Partial<BundleList>;
  return Array.isArray(bundles) ? bundles.filter(isPath) : [];
}

/** The paths in a list of the page's files as it was read. */
export function builtFilesIn(list: unknown): readonly string[] {
  return Array.isArray(list) ? list.filter(isPath) : [];
}

/** The files of a bundle by their paths, in a manifest as it was read. */
export function filesIn(manifest: unknown): ReadonlyMap<string, { readonly sha256: string }> {
  const { files } = (manifest ?? {}) as { files?: Record<string, { sha256?: unknown } | null> };
  const found = Object.entries(files ?? {}).flatMap(([path, file]) => {
    const sha256 = file?.sha256;
    return isPath(path) && typeof sha256 === 'string' && /^[\da-f]{64}$/.test(sha256)
      ? [[path, { sha256 }] as const]
      : [];
  });
  return new Map(found);
}

/** What the page says of a bundle before it is opened. */
export interface AboutBundle {
  /** Of its pictures: 3 where it sees colours. */
  readonly channels: number;
  /** Of what is fetched to open it. */
  readonly bytes: number;
}

/** The same, of a manifest as it was read; undefined where it is none. */
export function aboutBundle(manifest: unknown): AboutBundle | undefined {
  const { preprocessing, files, weights, defaultPattern } = (manifest ?? {}) as {
    preprocessing?: { channels?: unknown } | null;
    files?: Record<string, { bytes?: unknown } | null>;
    weights?: unknown;
    defaultPattern?: unknown;
  };
  const channels = preprocessing?.channels;
  if (typeof channels !== 'number') return undefined;
  const needed = Object.entries(files ?? {}).filter(
    ([path]) => path === weights || path.startsWith(`${defaultPattern}.`),
  );
  return { channels, bytes: needed.reduce((sum, [, file]) => sum + (Number(file?.bytes) || 0), 0) };
}
