import type { Prediction } from '@whet/runtime';
import type { PredictAnswer } from '@whet/runtime/client';
import type { Request, RequestHandler, Response } from 'express';
import type { Model, Query } from '../engine/engine.js';
import { Problem, show } from '../problems.js';
import { BYTES_TYPE, readBody, readBytes, typeOf } from '../request/bodies.js';
import { decodeInParts, type ImageSource, imageSource, tensorsOfBytes } from '../request/images.js';
import type { Payloads } from '../request/json-images.js';
import { freeBody } from '../request/receive.js';
import {
  abortedBy,
  type Caller,
  callerOf,
  checkId,
  enter,
  findModel,
  findProfile,
  largestOf,
  noProfile,
  ownerOf,
  roundMilliseconds,
  type Service,
  serverTiming,
} from '../service.js';
import { checkState, type ProfileState, VersionConflictError } from '../stores/contract.js';
import type { Workload } from '../work/workload.js';
import { check, imageSchema, predictOptionsSchema, predictSchema } from './schemas.js';

/** Whose classes: a profile's, or a model's own. */
interface Named {
  readonly profile?: string | undefined;
  readonly model?: string | undefined;
}

interface PredictRequest extends Named {
  /** Images that are still to be decoded, or a body that is a batch of tensors. */
  readonly sources: readonly ImageSource[] | Uint8Array;
}

interface Target {
  readonly model: Model;
  /** Id and state of the profile; absent for the model's own classes. */
  readonly profile?: { readonly id: string; readonly state: ProfileState } | undefined;
}

/**
 * `POST /predict`: a profile's class for each image, every image by itself; without a profile, the class that a model
 * with classes of its own gives it.
 */
export function predictHandler(service: Service): RequestHandler {
  const { limits, metrics } = service;
  return async (request, response) => {
    const workload = enter(service, response);
    const caller = callerOf(response);
    const signal = abortedBy(response);
    const { sources, ...named } = await readRequest(service, request, response, workload);
    const began = performance.now();
    const target = await findTarget(service, workload, caller, named);
    const { preprocessing } = target.model.manifest;

    const owner = ownerOf(request, response);
    let [decode, predicting] = [0, 0];
    const predictions = await workload.within('predict', began, signal, async (limited) => {
      const parts =
        sources instanceof Uint8Array
          ? [tensorsOfBytes(sources, preprocessing, limits.predictImages)]
          : decodeInParts(service.decoding, owner, sources, preprocessing, limited);
      const all: Prediction[] = [];
      let { profile } = target;
      let from = performance.now();
      for await (const images of parts) {
        const decoded = performance.now();
        const part = await predict(service, workload, caller, { ...target, profile }, images, limited);
        // One answer is of one version.
        if (all.length > 0 && part.profile) checkState(part.profile.state, profile?.state);
        profile = part.profile;
        all.push(...part.predictions);
        decode += decoded - from;
        from = performance.now();
        predicting += from - decoded;
      }
      return all;
    });
    freeBody(response);
    metrics.stage('decode', decode);
    checkFinite(predictions, sources);
    const times = roundMilliseconds({ decode, predict: predicting, total: performance.now() - began });
    const single = predictions.length === 1 ? predictions[0] : undefined;
    const answer: PredictAnswer = { ...single, predictions, milliseconds: times };
    response.set('Server-Timing', serverTiming(times)).json(answer);
  };
}

/** Predicts with the profile that the engine has ready, or fetches it; with the state that it was in. */
async function predict(
  service: Service,
  workload: Workload,
  caller: Caller,
  { model, profile }: Target,
  images: readonly Float32Array[],
  signal: AbortSignal,
): Promise<{ readonly predictions: readonly Prediction[]; readonly profile: Target['profile'] }> {
  const ask = (query: Omit<Query, 'images'>) => workload.predict(model.name, { ...query, images }, signal);
  if (!profile) return { predictions: (await ask({ key: undefined })) as Prediction[], profile };
  const { store } = service;
  const keyOf = ({ version, created }: ProfileState) => `${caller.namespace}/${profile.id} ${version} ${created}`;
  store.touch(caller.namespace, profile.id);
  const ready = await ask({ key: keyOf(profile.state) });
  if (ready) return { predictions: ready, profile };
  const record = await findProfile(service, caller, profile.id);
  // Changed in between to another model's, whose images may be of another size.
  if (record.model !== model.name) throw new VersionConflictError(record.version, profile.state.version);
  const predictions = (await ask({ key: keyOf(record), bytes: record.bytes })) as Prediction[];
  const { version, created } = record;
  return { predictions, profile: { id: profile.id, state: { version, created } } };
}

/** The model, and the state of the profile to predict with. */
async function findTarget(
  { store }: Service,
  workload: Workload,
  { namespace }: Caller,
  { profile: id, model: name }: Named,
): Promise<Target> {
  if (id !== undefined) {
    if (name !== undefined) {
      throw new Problem('invalid-input', 'model', 'expected "profile" or "model", got both: a profile has its model');
    }
    const state = await store.info(namespace, checkId(id));
    if (!state) throw noProfile(id);
    return { model: findModel(workload, state.model), profile: { id, state } };
  }
  const model = findModel(workload, name);
  if (!model.manifest.labels) {
    const expected = `expected text, got nothing, and model ${show(model.name)} has no classes without a profile`;
    throw new Problem('missing-input', 'profile', expected);
  }
  return { model };
}

async function readRequest(
  service: Service,
  request: Request,
  response: Response,
  workload: Workload,
): Promise<PredictRequest> {
  const { predictImages } = service.limits;
  if (typeOf(request) === BYTES_TYPE) {
    const named = check(predictOptionsSchema, request.query);
    return { ...named, sources: await readBytes(request, response, service) };
  }
  const { imageLength } = largestOf(workload);
  const body = await readBody(request, response, { ...service, maxFiles: predictImages, imageLength });
  if (body.kind === 'form') {
    const named = check(predictOptionsSchema, body.fields);
    if (body.files.length === 0) throw new Problem('missing-input', 'images', 'expected image files, got none');
    return { ...named, sources: body.files.map(({ bytes }, i) => ({ kind: 'file', field: `images[${i}]`, bytes })) };
  }
  const { profile, model, images, ...one } = check(predictSchema, body.value);
  if (images === undefined) return { profile, model, sources: [imageSource(one, '', body.payloads)] };
  if (one.image !== undefined || one.tensor !== undefined) {
    throw new Problem('invalid-input', 'images', 'expected one of "image", "tensor" and "images", got several');
  }
  if (images.length === 0) throw new Problem('invalid-input', 'images', 'expected images, got none');
  if (images.length > predictImages) {
    throw new Problem('too-large', 'images', `expected at most ${predictImages} images, got ${images.length}`);
  }
  return { profile, model, sources: images.map((item, i) => readImage(item, `images[${i}]`, body.payloads)) };
}

function readImage(item: unknown, field: string, payloads: Payloads): ImageSource {
  if (typeof item === 'string') return { kind: 'json', field, payloads };
  if (typeof item !== 'object' || item === null) {
    const expected = 'expected base64, or an object with "image" or "tensor"';
    throw new Problem('invalid-input', field, `${expected}, got ${show(item)}`);
  }
  return imageSource(check(imageSchema, item, field), field, payloads);
}

// JSON has no NaN: it would arrive as null, without a word.
function checkFinite(predictions: readonly Prediction[], sources: PredictRequest['sources']): void {
  const at = predictions.findIndex(({ probabilities }) => !Object.values(probabilities).every(Number.isFinite));
  if (at < 0) return;
  const field = sources instanceof Uint8Array ? `body[${at}]` : (sources[at]?.field ?? 'images');
  throw new Problem('invalid-input', field, 'expected values the network can compute with, got NaN probabilities');
}
