import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { RequestHandler } from 'express';
import { Problem, show } from '../problems.js';
import type { Service } from '../service.js';

export interface SiteOptions {
  /** Names besides addresses and those of this machine that requests may be for; none when absent. */
  readonly hostNames?: readonly string[];
  /** Origins whose pages may call; none when absent. */
  readonly corsOrigins?: readonly string[];
}

/**
 * Where no keys are asked for, whoever reaches the service may do everything, and so might any web page in a browser on
 * this machine. So requests are refused that are for a name which may be anybody's (DNS rebinding), and those that a
 * page of another origin makes, for which a browser does not ask first.
 */
export function refuseOtherSites({ auth }: Service, options: SiteOptions): RequestHandler {
  if (auth === 'keys') return (_request, _response, next) => next();
  const { hostNames = [], corsOrigins = [] } = options;
  const names = new Set(['localhost', hostname(), ...hostNames].map((name) => name.toLowerCase()));
  return ({ headers }, _response, next) => {
    const { host, origin } = headers;
    if (host !== undefined && !isOwnName(nameOf(host), names)) {
      const expected = 'expected an address, localhost or one of the names that the setting hostNames has';
      throw new Problem('misdirected', 'host', `${expected}, got ${show(host)}`);
    }
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

function isOwnName(name: string | undefined, names: ReadonlySet<string>): boolean {
  if (name === undefined) return false;
  return isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 || name.endsWith('.localhost') || names.has(name);
}

/** The name in a `Host` header, without its port, in lower case. */
function nameOf(host: string): string | undefined {
  const url = `http://${host}`;
  return URL.canParse(url) ? new URL(url).hostname.replace(/\.$/, '') : undefined;
}

/** Whether pages of an origin come from this host; a proxy in front may speak HTTPS. */
function isOriginOf(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const { protocol, host: own } = new URL(origin);
  return URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === own && own !== '';
}
