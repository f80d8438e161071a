import { randomUUID } from 'node:crypto';
import type { AdaptAnswer } from '@whet/runtime/client';
import { AUTO, checkAlways, labelKey } from '@whet/runtime/format';
import type { Request, RequestHandler, Response } from 'express';
import type { AdaptJob, Model } from '../engine/engine.js';
import type { Limits } from '../limits.js';
import { Problem, show } from '../problems.js';
import { type Body, readBody } from '../request/bodies.js';
import { withBooleans, withNumbers } from '../request/form-body.js';
import { decodeSources, type ImageSource, imageSource } from '../request/images.js';
import type { Payloads } from '../request/json-images.js';
import { checkLabel } from '../request/labels.js';
import { freeBody } from '../request/receive.js';
import {
  abortedBy,
  callerOf,
  enter,
  findModel,
  findProfile,
  largestOf,
  ownerOf,
  roundMilliseconds,
  type Service,
  serverTiming,
} from '../service.js';
import { type ProfileRecord, VersionConflictError } from '../stores/contract.js';
import type { Workload } from '../work/workload.js';
import { type AdaptRequestOptions, adaptOptionsSchema, adaptSchema, check, exampleSchema } from './schemas.js';

interface LabelledSource {
  readonly label: string;
  readonly source: ImageSource;
}

interface AdaptRequest {
  readonly options: AdaptRequestOptions;
  readonly count: number;
  /** Reads the examples, once their number is found to be within the limit. */
  read(): LabelledSource[];
}

/**
 * `POST /adapt`: labelled examples to a stored profile, a new one or the next version of one. Nothing is stored unless the
 * answer is 201 or 200; with `Accept: text/event-stream`, unless an event `done` comes.
 */
export function adaptHandler(service: Service): RequestHandler {
  const { store, metrics } = service;
  return async (request, response) => {
    const workload = enter(service, response);
    const caller = callerOf(response);
    const signal = abortedBy(response);
    workload.checkRoom();
    const read = await readExamples(service, request, response, workload, signal);
    const { options, stored, from, model, labelled, decode, began } = read;
    const stream = request.accepts('application/json', 'text/event-stream') === 'text/event-stream';
    const finish = async (onStep?: (step: number, loss: number) => void): Promise<AdaptAnswer> => {
      const job = jobOf(model, labelled, options, from);
      const adapted = await workload.within('adapt', began, signal, (limited) =>
        workload.adapt(job, onStep ? { signal: limited, onStep } : { signal: limited }),
      );
      signal.throwIfAborted();
      const id = options.profile ?? randomUUID();
      const { pattern, classes, bytes, added, solved, losses, loss, halved, heldBack, spared, auto, milliseconds } =
        adapted;
      const draft = { model: model.name, pattern, classes, examples: adapted.examples, bytes };
      const storing = performance.now();
      const { version } = await store.put(caller.namespace, id, draft, stored);
      metrics.stage('store', performance.now() - storing);
      const { encode, steps } = milliseconds;
      return {
        profile: id,
        model: model.name,
        pattern,
        classes: [...classes],
        ...(model.manifest.labels || from ? { added: [...added] } : {}),
        solved,
        losses: [...losses],
        ...(loss === undefined ? {} : { loss }),
        halved,
        ...(heldBack ? { heldBack } : {}),
        ...(spared === undefined ? {} : { spared }),
        ...(auto ? { auto: { trials: [...auto.trials], reason: auto.reason } } : {}),
        bytes: bytes.byteLength,
        version,
        milliseconds: roundMilliseconds({ decode, encode, steps, total: performance.now() - began }),
      };
    };
    if (stream) {
      await streamAdaptation(service, response, finish);
      return;
    }
    const answer = await finish();
    response
      .status(stored ? 200 : 201)
      .set({ Location: `/profiles/${answer.profile}`, 'Server-Timing': serverTiming(answer.milliseconds) })
      .json(answer);
  };
}

interface ReadExamples {
  readonly options: AdaptRequestOptions;
  /** The profile that is to change, and the same where it is to be continued. */
  readonly stored: ProfileRecord | undefined;
  readonly from: ProfileRecord | undefined;
  readonly model: Model;
  readonly labelled: AdaptJob['examples'];
  /** When the body was whole, and the milliseconds that decoding took. */
  readonly began: number;
  readonly decode: number;
}

/** Reads and decodes a request's examples, and lets go of all that they came in. */
async function readExamples(
  service: Service,
  request: Request,
  response: Response,
  workload: Workload,
  signal: AbortSignal,
): Promise<ReadExamples> {
  const { limits, metrics } = service;
  const checkName = (name: string, i: number) => checkLabel(name, `examples[${i}].label`, limits.labelBytes);
  const { examples: maxFiles, imageLength } = largestOf(workload);
  const body = await readBody(request, response, { ...service, maxFiles, imageLength, checkName });
  const began = performance.now();
  const { options, count, read } = readRequest(body, limits);
  const stored = await storedProfile(service, response, options);
  const model = modelOf(workload, options, stored);
  const from = options.continue ? stored : undefined;
  checkCount(model, count);
  const examples = read();
  checkExamples(model, examples, from);
  checkPattern(model, options.pattern, from);
  checkAlways(options);

  const decoding = performance.now();
  const sources = examples.map(({ source }) => source);
  const { preprocessing } = model.manifest;
  const images = await workload.within('adapt', began, signal, (limited) =>
    decodeSources(service.decoding, ownerOf(request, response), sources, preprocessing, limited),
  );
  freeBody(response);
  const decode = performance.now() - decoding;
  metrics.stage('decode', decode);
  const labelled = examples.map(({ label }, i) => ({ label, image: images[i] as Float32Array }));
  return { options, stored, from, model, labelled, began, decode };
}

/** One event per inner step, then one of what became of it. */
async function streamAdaptation(
  service: Service,
  response: Response,
  finish: (onStep: (step: number, loss: number) => void) => Promise<AdaptAnswer>,
): Promise<void> {
  const send = (event: string, data: object) => {
    if (!response.writableEnded) response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  let open = false;
  // Not before there is something to tell: until then, a refusal has its own status.
  const begin = () => {
    if (open) return;
    open = true;
    // Proxies hold events back otherwise.
    response.status(200).set({
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    });
    response.flushHeaders();
  };
  try {
    const answer = await finish((step, loss) => {
      begin();
      send('step', { step, loss });
    });
    begin();
    send('done', answer);
  } catch (error) {
    if (!open) throw error;
    if (!response.destroyed) send('problem', service.problemOf(error).toBody());
  }
  response.end();
}

function jobOf(
  model: Model,
  examples: AdaptJob['examples'],
  { pattern, steps, rate, always, budgetMs, remember, anchor }: AdaptRequestOptions,
  from: ProfileRecord | undefined,
): AdaptJob {
  return {
    model: model.name,
    examples,
    ...(pattern === undefined ? {} : { pattern }),
    ...(steps === undefined ? {} : { steps }),
    ...(rate === undefined ? {} : { rate }),
    ...(always === undefined ? {} : { always }),
    ...(budgetMs === undefined ? {} : { budgetMs }),
    ...(remember === undefined ? {} : { remember }),
    ...(anchor === undefined ? {} : { anchor }),
    ...(from ? { from: from.bytes } : {}),
  };
}

/** The profile that is to change, in the version that the caller means. */
async function storedProfile(
  service: Service,
  response: Response,
  { profile, version, ...options }: AdaptRequestOptions,
): Promise<ProfileRecord | undefined> {
  if (profile === undefined) {
    const field = options.continue ? 'continue' : version === undefined ? undefined : 'version';
    if (field === undefined) return undefined;
    throw new Problem('missing-input', 'profile', `expected the id of a profile beside "${field}", got nothing`);
  }
  const stored = await findProfile(service, callerOf(response), profile);
  if (version !== undefined && version !== stored.version) throw new VersionConflictError(stored.version, version);
  return stored;
}

function modelOf(workload: Workload, { model, ...options }: AdaptRequestOptions, stored: ProfileRecord | undefined) {
  if (options.continue && stored && model !== undefined && model !== stored.model) {
    const expected = `expected ${show(stored.model)}, that of the profile to continue`;
    throw new Problem('invalid-input', 'model', `${expected}, got ${show(model)}`);
  }
  return findModel(workload, model ?? stored?.model);
}

function readRequest(body: Body, limits: Limits): AdaptRequest {
  if (body.kind === 'json') {
    const { examples: items, ...options } = check(adaptSchema(limits), body.value);
    const read = () => items.map((item, i) => readExample(item, `examples[${i}]`, limits, body.payloads));
    return { options, count: items.length, read };
  }
  const fields = withBooleans(
    withNumbers(body.fields, ['steps', 'rate', 'budgetMs', 'remember', 'anchor', 'version']),
    ['always', 'continue'],
  );
  const options = check(adaptOptionsSchema(limits), fields);
  const { files } = body;
  if (files.length === 0) {
    throw new Problem('missing-input', 'examples', 'expected image files whose field names are their labels, got none');
  }
  const read = () =>
    files.map(({ name, bytes }, i): LabelledSource => {
      return { label: name, source: { kind: 'file', field: `examples[${i}].image`, bytes } };
    });
  return { options, count: files.length, read };
}

function readExample(item: unknown, field: string, { labelBytes }: Limits, payloads: Payloads): LabelledSource {
  const example = check(exampleSchema, item, field);
  checkLabel(example.label, `${field}.label`, labelBytes);
  return { label: example.label, source: imageSource(example, field, payloads) };
}

function checkCount({ manifest }: Model, count: number): void {
  const { maxExamples } = manifest.limits;
  if (count === 0) throw new Problem('invalid-input', 'examples', 'expected labelled examples, got none');
  if (count > maxExamples) {
    throw new Problem('too-large', 'examples', `expected at most ${maxExamples} examples, got ${count}`);
  }
}

function checkExamples(
  { manifest }: Model,
  examples: readonly LabelledSource[],
  from: ProfileRecord | undefined,
): void {
  const own = from?.classes ?? manifest.labels ?? [];
  const classes = new Set([...own, ...examples.map(({ label }) => label)].map(labelKey));
  const { maxClasses } = manifest.limits;
  if (classes.size < 2) {
    const got = `only ${show(examples[0]?.label)}`;
    throw new Problem('invalid-input', 'examples', `expected examples of at least 2 classes, got ${got}`);
  }
  if (classes.size > maxClasses) {
    const whose = from ? "the profile's" : "the model's own";
    const got = own.length > 0 ? `${classes.size}, ${own.length} of them ${whose}` : classes.size;
    throw new Problem('invalid-input', 'examples', `expected at most ${maxClasses} classes, got ${got}`);
  }
}

// Before the images are decoded: a misspelt pattern should not cost a second's work.
function checkPattern({ manifest }: Model, pattern: string | undefined, from: ProfileRecord | undefined): void {
  if (pattern === undefined) return;
  if (from && pattern !== from.pattern) {
    const expected = `expected ${show(from.pattern)}, that of the profile to continue`;
    throw new Problem('invalid-input', 'pattern', `${expected}, got ${show(pattern)}`);
  }
  if (pattern === AUTO || Object.hasOwn(manifest.patterns, pattern)) return;
  const known = [...Object.keys(manifest.patterns), AUTO].join(', ');
  throw new Problem('invalid-input', 'pattern', `expected one of ${known}, got ${show(pattern)}`);
}
