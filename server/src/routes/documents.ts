import type { RequestHandler } from 'express';
import { renderDocument } from './docs-page.js';
import { type Described, openApiDocument } from './openapi.js';

/** `GET /openapi.json` and `GET /docs`: made when they are first asked for, as few ever are. */
export function documentHandlers({ limits, version, auth }: Described): {
  readonly json: RequestHandler;
  readonly page: RequestHandler;
} {
  const make = () => {
    const document = openApiDocument({ limits, version, auth });
    return { document, page: renderDocument(document) };
  };
  let made: ReturnType<typeof make> | undefined;
  const once = () => {
    made ??= make();
    return made;
  };
  return {
    json: (_request, response) => void response.json(once().document),
    page: (_request, response) => void response.type('html').send(once().page),
  };
}
