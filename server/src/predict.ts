import type { Prediction } from '@whet/runtime';
import type { RequestHandler } from 'express';
import { type Body, readBody } from './bodies.js';
import { decodeSources, type ImageSource, imageSource } from './images.js';
import type { Limits } from './limits.js';
import { Problem, show } from './problems.js';
import { check, imageSchema, predictOptionsSchema, predictSchema } from './schemas.js';
import { abortedBy, findBundle, findProfile, roundMilliseconds, type Service, serverTiming } from './service.js';

interface PredictRequest {
  readonly profile: string | undefined;
  readonly model: string | undefined;
  readonly sources: readonly ImageSource[];
}

/**
 * `POST /predict`: a profile's class for each image, every image by itself; without a profile, the class that a bundle
 * with classes of its own gives it.
 */
export function predictHandler(service: Service): RequestHandler {
  const { limits } = service;
  return async (request, response) => {
    const signal = abortedBy(response);
    const body = await readBody(request, response, { limits, maxFiles: limits.predictImages });
    const began = performance.now();
    const { sources, ...named } = readRequest(body, limits);
    const { bundle, profile } = await findBoth(service, named);

    const decoding = performance.now();
    const images = await decodeSources(sources, bundle.manifest.preprocessing, limits, signal);
    const decoded = performance.now();
    const predictions = await bundle.predict(profile(), images);
    const ended = performance.now();
    checkFinite(predictions, sources);
    const times = roundMilliseconds({ decode: decoded - decoding, predict: ended - decoded, total: ended - began });
    const single = predictions.length === 1 ? predictions[0] : undefined;
    response.set('Server-Timing', serverTiming(times)).json({ ...single, predictions, milliseconds: times });
  };
}

/** The bundle, and the profile to predict with, which is read after the images are found to be good. */
async function findBoth(service: Service, { profile: id, model: name }: Omit<PredictRequest, 'sources'>) {
  if (id !== undefined) {
    if (name !== undefined) {
      throw new Problem('invalid-input', 'model', 'expected "profile" or "model", got both: a profile has its model');
    }
    const { model, bytes } = await findProfile(service, id);
    const { bundle } = findBundle(service, model);
    return { bundle, profile: () => bundle.profileFromBytes(bytes) };
  }
  const { model, bundle } = findBundle(service, name);
  if (!bundle.labels) {
    const expected = `expected text, got nothing, and model ${show(model)} has no classes without a profile`;
    throw new Problem('missing-input', 'profile', expected);
  }
  return { bundle, profile: () => bundle.initialProfile() };
}

function readRequest(body: Body, { predictImages }: Limits): PredictRequest {
  if (body.kind === 'form') {
    const { profile, model } = check(predictOptionsSchema, body.fields);
    if (body.files.length === 0) throw new Problem('missing-input', 'images', 'expected image files, got none');
    return {
      profile,
      model,
      sources: body.files.map(({ bytes }, i) => ({ kind: 'file', field: `images[${i}]`, bytes })),
    };
  }
  const { profile, model, images, ...one } = check(predictSchema, body.value);
  if (images === undefined) return { profile, model, sources: [imageSource(one, '')] };
  if (one.image !== undefined || one.tensor !== undefined) {
    throw new Problem('invalid-input', 'images', 'expected one of "image", "tensor" and "images", got several');
  }
  if (images.length === 0) throw new Problem('invalid-input', 'images', 'expected images, got none');
  if (images.length > predictImages) {
    throw new Problem('too-large', 'images', `expected at most ${predictImages} images, got ${images.length}`);
  }
  return { profile, model, sources: images.map((item, i) => readImage(item, `images[${i}]`)) };
}

function readImage(item: unknown, field: string): ImageSource {
  if (typeof item === 'string') return { kind: 'base64', field, text: item };
  if (typeof item !== 'object' || item === null) {
    const expected = 'expected base64, or an object with "image" or "tensor"';
    throw new Problem('invalid-input', field, `${expected}, got ${show(item)}`);
  }
  return imageSource(check(imageSchema, item, field), field);
}

// JSON has no NaN: it would arrive as null, without a word.
function checkFinite(predictions: readonly Prediction[], sources: readonly ImageSource[]): void {
  const at = predictions.findIndex(({ probabilities }) => !Object.values(probabilities).every(Number.isFinite));
  if (at < 0) return;
  const field = sources[at]?.field ?? 'images';
  throw new Problem('invalid-input', field, 'expected values the network can compute with, got NaN probabilities');
}
