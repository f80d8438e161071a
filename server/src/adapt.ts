import { randomUUID } from 'node:crypto';
import type { AdaptOptions, Bundle } from '@whet/runtime';
import type { RequestHandler } from 'express';
import { type Body, readBody } from './bodies.js';
import { withNumbers } from './form-body.js';
import { decodeSources, type ImageSource, imageSource } from './images.js';
import { checkLabel } from './labels.js';
import type { Limits } from './limits.js';
import { Problem, show } from './problems.js';
import { type AdaptRequestOptions, adaptOptionsSchema, adaptSchema, check, exampleSchema } from './schemas.js';
import { abortedBy, findBundle, LOCAL, roundMilliseconds, type Service, serverTiming } from './service.js';

interface LabelledSource {
  readonly label: string;
  readonly source: ImageSource;
}

interface AdaptRequest {
  readonly model: string;
  readonly bundle: Bundle;
  readonly options: AdaptRequestOptions;
  readonly examples: readonly LabelledSource[];
}

/** `POST /adapt`: labelled examples to a stored profile. Nothing is stored unless the answer is 201. */
export function adaptHandler(service: Service): RequestHandler {
  const { limits, store } = service;
  const maxFiles = Math.max(...[...service.bundles.values()].map(({ manifest }) => manifest.limits.maxExamples));
  const checkName = (name: string, i: number) => checkLabel(name, `examples[${i}].label`, limits.labelBytes);
  return async (request, response) => {
    const signal = abortedBy(response);
    const body = await readBody(request, response, { limits, maxFiles, checkName });
    const began = performance.now();
    const { model, bundle, options, examples } = readRequest(service, body);
    checkExamples(bundle, examples);
    checkPattern(bundle, options.pattern);

    const decoding = performance.now();
    const images = await decodeSources(
      examples.map(({ source }) => source),
      bundle.manifest.preprocessing,
      limits,
      signal,
    );
    const decode = performance.now() - decoding;
    const labelled = examples.map(({ label }, i) => ({ label, image: images[i] as Float32Array }));
    const { profile, added, losses, milliseconds } = await bundle.adapt(labelled, adaptOptions(options, signal));

    signal.throwIfAborted();
    const id = randomUUID();
    const { pattern, classes } = profile;
    const bytes = profile.toBytes();
    await store.put(LOCAL, id, { model, pattern, classes, examples: profile.examples, bytes }, undefined);
    const { encode, steps } = milliseconds;
    const times = roundMilliseconds({ decode, encode, steps, total: performance.now() - began });
    response
      .status(201)
      .set({ Location: `/profiles/${id}`, 'Server-Timing': serverTiming(times) })
      .json({
        profile: id,
        model,
        pattern,
        classes,
        ...(bundle.labels ? { added } : {}),
        losses,
        bytes: bytes.byteLength,
        milliseconds: times,
      });
  };
}

function readRequest(service: Service, body: Body): AdaptRequest {
  const { limits } = service;
  if (body.kind === 'json') {
    const { examples: items, ...options } = check(adaptSchema(limits), body.value);
    const { model, bundle } = findBundle(service, options.model);
    checkCount(bundle, items.length);
    return { model, bundle, options, examples: items.map((item, i) => readExample(item, `examples[${i}]`, limits)) };
  }
  const options = check(adaptOptionsSchema(limits), withNumbers(body.fields, ['steps', 'rate']));
  if (body.files.length === 0) {
    throw new Problem('missing-input', 'examples', 'expected image files whose field names are their labels, got none');
  }
  const { model, bundle } = findBundle(service, options.model);
  checkCount(bundle, body.files.length);
  const examples = body.files.map(({ name, bytes }, i): LabelledSource => {
    return { label: name, source: { kind: 'file', field: `examples[${i}].image`, bytes } };
  });
  return { model, bundle, options, examples };
}

function readExample(item: unknown, field: string, { labelBytes }: Limits): LabelledSource {
  const example = check(exampleSchema, item, field);
  checkLabel(example.label, `${field}.label`, labelBytes);
  return { label: example.label, source: imageSource(example, field) };
}

function checkCount({ manifest }: Bundle, count: number): void {
  const { maxExamples } = manifest.limits;
  if (count === 0) throw new Problem('invalid-input', 'examples', 'expected labelled examples, got none');
  if (count > maxExamples) {
    throw new Problem('too-large', 'examples', `expected at most ${maxExamples} examples, got ${count}`);
  }
}

function checkExamples({ manifest }: Bundle, examples: readonly LabelledSource[]): void {
  const own = manifest.labels ?? [];
  const classes = new Set([...own, ...examples.map(({ label }) => label)]);
  const { maxClasses } = manifest.limits;
  if (classes.size < 2) {
    const got = `only ${show(examples[0]?.label)}`;
    throw new Problem('invalid-input', 'examples', `expected examples of at least 2 classes, got ${got}`);
  }
  if (classes.size > maxClasses) {
    const got = own.length > 0 ? `${classes.size}, ${own.length} of them the model's own` : classes.size;
    throw new Problem('invalid-input', 'examples', `expected at most ${maxClasses} classes, got ${got}`);
  }
}

// Before the images are decoded: a misspelt pattern should not cost a second's work.
function checkPattern({ manifest }: Bundle, pattern: string | undefined): void {
  if (pattern === undefined || Object.hasOwn(manifest.patterns, pattern)) return;
  const known = Object.keys(manifest.patterns).join(', ');
  throw new Problem('invalid-input', 'pattern', `expected one of ${known}, got ${show(pattern)}`);
}

function adaptOptions({ pattern, steps, rate }: AdaptRequestOptions, signal: AbortSignal): AdaptOptions {
  return {
    signal,
    ...(pattern === undefined ? {} : { pattern }),
    ...(steps === undefined ? {} : { steps }),
    ...(rate === undefined ? {} : { rate }),
  };
}
