import { randomUUID } from 'node:crypto';
import type { ProfileAnswer, ProfilesAnswer } from '@whet/runtime/client';
import { profileSize, sameLabels } from '@whet/runtime/format';
import type { Request, RequestHandler, Response } from 'express';
import { Problem, show } from '../problems.js';
import { readBytes } from '../request/bodies.js';
import { checkLabel } from '../request/labels.js';
import { freeBody } from '../request/receive.js';
import { callerOf, checkId, enter, findModel, findProfile, noProfile, type Service } from '../service.js';
import { checkState, type ProfileInfo, type ProfileState } from '../stores/contract.js';
import { check, importSchema, listSchema } from './schemas.js';

/** Examples of a class that a profile from elsewhere may count: a database's integer, with room for those to come. */
const MAX_EXAMPLES = 1_000_000_000;

type OfProfile = RequestHandler<{ id: string }>;

/** `GET /profiles`: the caller's own, in pages. */
export function listHandler({ store }: Service): RequestHandler {
  return async (request, response) => {
    const { limit, after } = check(listSchema, request.query);
    if (after !== undefined) checkId(after);
    const { profiles, next } = await store.list(callerOf(response).namespace, limit, after);
    const answer: ProfilesAnswer = { profiles: profiles.map((profile) => describeProfile(profile.id, profile)) };
    response.json(next === undefined ? answer : { ...answer, next });
  };
}

/** `GET /profiles/:id`: what is known of a profile, without its values. */
export function profileHandler({ store }: Service): OfProfile {
  return async (request, response) => {
    const { id } = request.params;
    const info = await store.info(callerOf(response).namespace, checkId(id));
    if (!info) throw noProfile(id);
    response.set('ETag', tagOf(info)).json(describeProfile(id, info));
  };
}

/** `GET /profiles/:id/export`: its bytes, for `PUT` and `POST /profiles` and for the runtime. */
export function exportHandler(service: Service): OfProfile {
  return async (request, response) => {
    const { id } = request.params;
    const record = await findProfile(service, callerOf(response), id);
    response
      .set({ ETag: tagOf(record), 'Content-Disposition': `attachment; filename="${id}.profile"` })
      .type('application/octet-stream')
      .send(Buffer.from(record.bytes));
  };
}

/** `DELETE /profiles/:id` */
export function deleteHandler({ store }: Service): OfProfile {
  return async (request, response) => {
    const { id } = request.params;
    const { namespace } = callerOf(response);
    const wanted = readTag(request);
    if (wanted) {
      const info = await store.info(namespace, checkId(id));
      if (!info) throw noProfile(id);
      checkState(info, wanted);
    }
    if (!(await store.delete(namespace, checkId(id), wanted))) throw noProfile(id);
    response.status(204).end();
  };
}

/** `POST /profiles`: stores the bytes of a profile as a new one. */
export function importHandler(service: Service): RequestHandler {
  return (request, response) => storeBytes(service, request, response, randomUUID(), undefined);
}

/** `PUT /profiles/:id`: stores the bytes of a profile under an id, as its next version where there is one. */
export function replaceHandler(service: Service): OfProfile {
  return async (request, response) => {
    const id = checkId(request.params.id);
    const stored = await service.store.info(callerOf(response).namespace, id);
    const wanted = readTag(request);
    if (wanted) checkState(stored, wanted);
    if (request.headers['if-match'] === '*' && !stored) {
      throw new Problem('version-conflict', 'version', 'expected a stored profile, got none');
    }
    if (request.headers['if-none-match'] === '*') checkState(stored, undefined);
    await storeBytes(service, request, response, id, stored);
  };
}

async function storeBytes(
  service: Service,
  request: Request<object>,
  response: Response,
  id: string,
  stored: ProfileInfo | undefined,
): Promise<void> {
  const workload = enter(service, response);
  const { name: model, manifest } = findModel(workload, check(importSchema, request.query).model);
  const bodyBytes = Math.min(service.limits.bodyBytes, profileSize(manifest).bytes);
  const bytes = await readBytes(request as Request, response, {
    ...service,
    limits: { ...service.limits, bodyBytes },
  });
  if (bytes.length === 0) throw new Problem('missing-input', 'body', "expected a profile's bytes, got none");
  const { pattern, classes, examples } = await workload.engine.inspect(model, bytes);
  const own = new Set(manifest.labels);
  const same = sameLabels(classes);
  if (same) {
    const names = same.map((i) => show(classes[i])).join(' and ');
    throw new Problem('invalid-input', `classes[${same[1]}]`, `expected names that differ to the eye, got ${names}`);
  }
  for (const [i, name] of classes.entries()) {
    if (!own.has(name)) checkLabel(name, `classes[${i}]`, service.limits.labelBytes);
    const count = examples[i] as number;
    if (count <= MAX_EXAMPLES) continue;
    throw new Problem('invalid-input', `examples[${i}]`, `expected a count of at most ${MAX_EXAMPLES}, got ${count}`);
  }
  const draft = { model, pattern, classes, examples, bytes };
  const info = await service.store.put(callerOf(response).namespace, id, draft, stored);
  freeBody(response);
  response
    .status(stored ? 200 : 201)
    .set({ Location: `/profiles/${id}`, ETag: tagOf(info) })
    .json(describeProfile(id, info));
}

/** What the service tells of a profile. */
function describeProfile(id: string, info: ProfileInfo): ProfileAnswer {
  const { model, pattern, classes, examples, size, version, created, updated } = info;
  // `fromEntries` defines members, so a class may be called `__proto__`.
  const counts = Object.fromEntries(classes.map((name, i) => [name, examples[i] ?? 0]));
  const rest = { bytes: size, version, created, updated };
  return { profile: id, model, pattern, classes: [...classes], examples: counts, ...rest };
}

/** Names a state of a profile, also among profiles that have the same id one after the other. */
function tagOf({ version, created }: ProfileState): string {
  return `"${version}-${Date.parse(created).toString(36)}"`;
}

/** The state that a request wants the profile to be in still. */
function readTag(request: Request<{ id: string }>): ProfileState | undefined {
  const header = request.headers['if-match'];
  if (header === undefined || header === '*') return undefined;
  const [, version, created] = /^"(\d{1,10})-([\da-z]{1,10})"$/.exec(header) ?? [];
  const time = Number.parseInt(created ?? '', 36);
  if (!(time <= 8.64e15)) {
    throw new Problem('invalid-input', 'if-match', `expected the ETag of a profile, got ${show(header)}`);
  }
  return { version: Number(version), created: new Date(time).toISOString() };
}
