import type { RequestHandler } from 'express';
import { Problem, show } from '../problems.js';
import type { Service } from '../service.js';

export interface SiteOptions {
  /** Origins whose pages may call; none when absent. */
  readonly corsOrigins?: readonly string[];
}

/**
 * Where no keys are asked for, whoever reaches the service may do everything, and so might any web page in a browser on
 * this machine. So requests are refused that a page of another origin makes, for which a browser does not ask first.
 */
export function refuseOtherSites({ auth }: Service, { corsOrigins = [] }: SiteOptions): RequestHandler {
  if (auth === 'keys') return (_request, _response, next) => next();
  return ({ headers }, _response, next) => {
    const { host, origin } = headers;
    const site = headers['sec-fetch-site'];
    const isOther =
      origin === undefined
        ? site === 'cross-site'
        : site !== 'same-origin' && !corsOrigins.includes(origin) && !isOriginOf(origin, host);
    if (isOther) {
      const expected = "expected a call from the service's own page or an origin of the setting corsOrigins";
      throw new Problem('foreign-origin', 'origin', `${expected}, got ${show(origin ?? 'another site')}`);
    }
    next();
  };
}

/** Whether pages of an origin come from this host; a proxy in front may speak HTTPS. */
function isOriginOf(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const { protocol, host: own } = new URL(origin);
  return URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === own && own !== '';
}
