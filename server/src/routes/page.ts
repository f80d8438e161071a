import { readFile, stat } from 'node:fs/promises';
import { isArchive, readArchive } from '@whet/runtime/format';
import { Router } from 'express';
import { FileError, isAbsent, staticFiles } from './static-files.js';

/** The built page, as the package `@whet/page` exports it. */
export interface PageFiles {
  /** Folder of static files, large ones beside or as their `.gz`. */
  readonly pageDirectory: string;
  /** The headers that a file of the page must have, by its path. */
  headersOf(path: string): Readonly<Record<string, string>>;
  /** Whether a file never changes under its name. */
  isImmutable(path: string): boolean;
}

export interface PageOptions {
  /** `await import('@whet/page')`. */
  readonly files: PageFiles;
  /** Folders of the bundles that the page may fetch, by name; the first is shown first. */
  readonly bundles: ReadonlyMap<string, string>;
}

interface ArchiveFiles {
  /** Another once the file is another. */
  readonly tag: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** The files of a bundle in one file, which is read anew once it is another; undefined where there is none. Rejects with {@link FileError}. */
function archiveFiles(place: string): () => Promise<ArchiveFiles | undefined> {
  let known: { readonly tag: string; readonly reading: Promise<ArchiveFiles> } | undefined;
  const read = async (tag: string): Promise<ArchiveFiles> => ({
    tag,
    files: readArchive(await readFile(place), place),
  });
  return async () => {
    try {
      const { mtimeMs, size } = await stat(place);
      const tag = `W/"${size.toString(16)}-${mtimeMs.toString(16)}"`;
      if (known?.tag !== tag) known = { tag, reading: read(tag) };
      return await known.reading;
    } catch (error) {
      known = undefined;
      if (isAbsent(error)) return undefined;
      throw new FileError(place, error as Error);
    }
  };
}

/**
 * The page that adapts on the device that shows it, at `/`, and the files of bundles, at `/bundles/<name>/`. It sends
 * nothing back: its content security policy (`headersOf`) lets no picture out.
 */
export function pageRouter({ files, bundles }: PageOptions): Router {
  const { pageDirectory, headersOf, isImmutable } = files;
  const router = Router();
  // The files are answered to whatever method asks for them, which HTTP does not mean by POST.
  router.use((request, _response, next) => next(['GET', 'HEAD'].includes(request.method) ? undefined : 'router'));
  router.use((request, _response, next) => {
    // Who asks whether a file has changed is told so: `no-cache` is a word to the caches on the way.
    delete request.headers['cache-control'];
    next();
  });
  router.get('/bundles/index.json', (_request, response) => {
    response.set(headersOf('bundles/index.json')).set('Cache-Control', 'no-cache');
    response.json({ bundles: [...bundles.keys()] });
  });
  const bundleHeaders = () => ({ ...headersOf('bundles/'), 'Cache-Control': 'no-cache' });
  for (const [name, directory] of bundles) {
    if (isArchive(directory)) {
      const filesOf = archiveFiles(directory);
      router.get(`/bundles/${name}/*file`, async ({ params }, response, next) => {
        const file = params.file.join('/');
        const archive = await filesOf();
        const bytes = archive?.files.get(file);
        if (!archive || !bytes) return next();
        response
          .set({ ...bundleHeaders(), ETag: archive.tag })
          .type(file.endsWith('.json') ? 'json' : 'bin')
          .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      });
      continue;
    }
    router.use(`/bundles/${name}`, staticFiles(directory, { headers: bundleHeaders }));
  }
  const pageHeaders = (path: string) => ({
    ...headersOf(path),
    'Cache-Control': isImmutable(path) ? 'public, max-age=31536000, immutable' : 'no-cache',
  });
  router.use(staticFiles(pageDirectory, { headers: pageHeaders, gzip: true }));
  return router;
}
