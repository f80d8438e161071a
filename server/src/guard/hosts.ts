import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { RequestHandler } from 'express';
import { Problem, show } from '../problems.js';
import type { Service } from '../service.js';

export interface HostOptions {
  /** Names besides addresses and those of this machine that requests may be for; none when absent. */
  readonly hostNames?: readonly string[];
}

/**
 * Refuses, whatever is asked for, requests that do not say one host, and where no keys are asked for also those for a name which might
 * be anybody's: a page in a browser on this machine could have such a name lead here (DNS rebinding).
 */
export function refuseOtherHosts({ auth }: Pick<Service, 'auth'>, { hostNames = [] }: HostOptions): RequestHandler {
  const names = new Set(['localhost', hostname(), ...hostNames].map((name) => name.toLowerCase()));
  return (request, _response, next) => {
    const { host } = request.headers;
    // Node.js takes the first of several, a proxy in front perhaps another.
    const count = request.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length;
    if (count > 1) throw new Problem('malformed-request', 'host', `expected one Host header, got ${count}`);
    const target = absoluteTarget(request.originalUrl);
    if (target !== undefined && addressOf(target) !== addressOf(host)) {
      throw new Problem('misdirected', 'host', `expected the target's host ${show(target)}, got ${show(host)}`);
    }
    if (auth === 'off' && host !== undefined && !isOwnName(host, names)) {
      const expected = 'expected an address, localhost or one of the names that the setting hostNames has';
      throw new Problem('misdirected', 'host', `${expected}, got ${show(host)}`);
    }
    next();
  };
}

/** The authority of a target in absolute form, as in `GET http://example.org/ HTTP/1.1`; undefined of a path. */
function absoluteTarget(target: string): string | undefined {
  return /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i.exec(target)?.[1];
}

function isOwnName(host: string, names: ReadonlySet<string>): boolean {
  const name = urlOf(host)?.hostname.replace(/\.$/, '');
  if (name === undefined) return false;
  return isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 || name.endsWith('.localhost') || names.has(name);
}

/** Name and port of a `Host` header, in one spelling. */
const addressOf = (host: string | undefined) => urlOf(host)?.host.replace(/\.(?=:|$)/, '');

/** The address that a `Host` header names and nothing else. */
function urlOf(host: string | undefined): URL | undefined {
  if (host === undefined || /[/?#@\\]/.test(host) || !URL.canParse(`http://${host}`)) return undefined;
  return new URL(`http://${host}`);
}
