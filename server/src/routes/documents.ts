import type { RequestHandler } from 'express';
import type { Described } from './openapi.js';

/** `GET /openapi.json` and `GET /docs`: made when they are first asked for, as few ever are. */
export function documentHandlers(described: Described): {
  readonly json: RequestHandler;
  readonly page: RequestHandler;
} {
  const { limits, version, auth } = described;
  const make = async () => {
    const [{ openApiDocument }, { renderDocument }] = await Promise.all([
      import('./openapi.js'),
      import('./docs-page.js'),
    ]);
    const document = openApiDocument({ limits, version, auth });
    return { document, page: renderDocument(document) };
  };
  let made: ReturnType<typeof make> | undefined;
  const once = () => {
    made ??= make();
    return made;
  };
  return {
    json: async (_request, response) => void response.json((await once()).document),
    page: async (_request, response) => void response.type('html').send((await once()).page),
  };
}
