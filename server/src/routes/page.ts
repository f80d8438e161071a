import { readFile, stat } from 'node:fs/promises';
import { headersOf, isImmutable, pageDirectory } from '@whet/page';
import { isArchive, readArchive } from '@whet/runtime/format';
import { type RequestHandler, Router } from 'express';
import sirv from 'sirv';

export interface PageOptions {
  /** Folders of the bundles that the page may fetch, by name; the first is shown first. */
  readonly bundles: ReadonlyMap<string, string>;
}

/** The files of a bundle in one file, which is read anew once it is another. */
function archiveFiles(place: string): () => Promise<ReadonlyMap<string, Uint8Array>> {
  let known: { readonly changed: number; readonly files: ReadonlyMap<string, Uint8Array> } | undefined;
  return async () => {
    const { mtimeMs: changed } = await stat(place);
    if (known?.changed !== changed) known = { changed, files: readArchive(await readFile(place), place) };
    return known.files;
  };
}

/**
 * Serves files with headers of their own, also where the answer is only that a file has not changed: a browser puts the headers of
 * a 304 in place of those that it has kept. What is no file goes on with the headers that it came with.
 */
function withHeaders(
  headers: (path: string) => Readonly<Record<string, string>>,
  serve: RequestHandler,
): RequestHandler {
  return (request, response, next) => {
    const own = headers(request.path);
    const earlier = Object.keys(own).map((name) => [name, response.getHeader(name)] as const);
    response.set(own);
    serve(request, response, () => {
      for (const [name, value] of earlier) {
        if (value === undefined) response.removeHeader(name);
        else response.setHeader(name, value);
      }
      next();
    });
  };
}

/**
 * The page that adapts on the device that shows it, at `/`, and the files of bundles, at `/bundles/<name>/`. It sends
 * nothing back: its content security policy (`headersOf`) lets no picture out.
 */
export function pageRouter({ bundles }: PageOptions): Router {
  const router = Router();
  // The files are answered to whatever method asks for them, which HTTP does not mean by POST.
  router.use((request, _response, next) => next(['GET', 'HEAD'].includes(request.method) ? undefined : 'router'));
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
        const bytes = (await filesOf()).get(file);
        if (!bytes) return next();
        response
          .set(bundleHeaders())
          .type(file.endsWith('.json') ? 'json' : 'bin')
          .send(Buffer.from(bytes));
      });
      continue;
    }
    // Looked up at each request, as a bundle may be replaced while the server runs.
    router.use(`/bundles/${name}`, withHeaders(bundleHeaders, sirv(directory, { dev: true, etag: true })));
  }
  const pageHeaders = (path: string) => ({
    ...headersOf(path),
    'Cache-Control': isImmutable(path) ? 'public, max-age=31536000, immutable' : 'no-cache',
  });
  router.use(withHeaders(pageHeaders, sirv(pageDirectory, { gzip: true, etag: true })));
  return router;
}
