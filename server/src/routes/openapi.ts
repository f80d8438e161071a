import * as z from 'zod';
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiResponsesObject } from 'zod-openapi';
import { kinds, type ProblemKind } from '../problems.js';
import type { Service } from '../service.js';
import {
  adaptAnswer,
  healthAnswer,
  modelsAnswer,
  predictAnswer,
  problemAnswer,
  profileAnswer,
  profilesAnswer,
  statusAnswer,
} from './answers.js';
import {
  adaptOptionsSchema,
  adaptSchema,
  exampleSchema,
  imageSchema,
  importSchema,
  listSchema,
  predictOptionsSchema,
  predictSchema,
} from './schemas.js';

export type OpenApiDocument = ReturnType<typeof createDocument>;

const PROBLEM = 'application/problem+json';
const BYTES = 'application/octet-stream';

const timing = z.string().meta({ description: 'Milliseconds of each part, as `name;dur=1.5, ...`.' });
const tag = z.string().meta({ description: 'Names this version of the profile.' });
const header = { 'Server-Timing': timing };
const location = { Location: z.string().meta({ description: 'Path of the profile.' }) };
const tagged = { ETag: tag };
const binary = z.string().meta({ override: { type: 'string', format: 'binary' } });
const ifMatch = z
  .string()
  .optional()
  .meta({ description: 'ETag that the profile must have still; 409 where it has another.' });
const id = z.string().meta({ description: 'Id of a profile, of those of the key.' });

/** What a service's document depends on. */
export type Described = Pick<Service, 'limits' | 'version' | 'auth'>;

/** The document that describes the service, OpenAPI 3.1, made of the schemas that check its requests. */
export function openApiDocument({ limits, version, auth }: Described): OpenApiDocument {
  const form = (schema: z.ZodObject, names: string) => ({
    'multipart/form-data': {
      schema: schema.catchall(binary).meta({ description: `Texts are options; every file is ${names}.` }),
    },
  });
  const json = (schema: z.ZodType) => ({ 'application/json': { schema } });
  const ok = (status: '200' | '201', description: string, schema: z.ZodType, headers = {}) => ({
    [status]: { description, headers: z.object({ ...header, ...headers }), content: json(schema) },
  });
  const secured = auth === 'keys';
  const operation = (
    operationId: string,
    summary: string,
    responses: ZodOpenApiResponsesObject,
    refusals: readonly ProblemKind[],
    rest: Partial<ZodOpenApiOperationObject> = {},
  ): ZodOpenApiOperationObject => ({
    operationId,
    summary,
    responses: {
      ...responses,
      ...refusalsOf([...refusals, ...(secured ? (['unauthorized'] as const) : (['foreign-origin'] as const)), 'busy']),
    },
    ...(secured ? { security: [{ key: [] }] } : {}),
    ...rest,
  });
  const open = (operationId: string, summary: string, responses: ZodOpenApiResponsesObject) => ({
    operationId,
    summary,
    responses: { ...responses, ...refusalsOf([]) },
  });
  const body: readonly ProblemKind[] = [
    'malformed-request',
    'missing-input',
    'timeout',
    'too-large',
    'unsupported-media',
    'invalid-input',
  ];
  const path = (more: z.ZodRawShape = {}) => ({ path: z.object({ id }), ...(more ? { header: z.object(more) } : {}) });
  const imported = (status: '200' | '201', description: string) =>
    ok(status, description, profileAnswer, { ...location, ...tagged });
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Whet',
      version,
      description: 'Personalise a classifier: labelled examples in, a profile out, predictions with it.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    ...(secured ? {} : { security: [] }),
    paths: {
      '/adapt': {
        post: operation(
          'adapt',
          'Adapt to labelled examples and store the profile, a new one or the next version of one',
          {
            ...adapted(
              '200',
              'The next version of a profile; or, where asked for, events: `step` after each inner step with `step` and `loss`, then `done` with this answer or `problem`.',
            ),
            ...adapted('201', 'A new profile.'),
          },
          [...body, 'not-found', 'profile-mismatch', 'version-conflict', 'deadline'],
          {
            requestBody: {
              required: true,
              content: {
                ...json(adaptSchema(limits)),
                ...form(adaptOptionsSchema(limits), 'an example, its name the label'),
              },
            },
          },
        ),
      },
      '/predict': {
        post: operation(
          'predict',
          'Predict images, each by itself, with a profile or with the classes that a model has of its own',
          ok('200', 'The classes.', predictAnswer),
          [...body, 'not-found', 'profile-mismatch', 'version-conflict', 'deadline'],
          {
            requestParams: {
              query: predictOptionsSchema.meta({ description: `With a body of ${BYTES} only.` }),
            },
            requestBody: {
              required: true,
              content: {
                ...json(predictSchema),
                ...form(predictOptionsSchema, 'an image, under any name'),
                [BYTES]: {
                  schema: binary.meta({ description: 'Preprocessed images, `[N, C, H, W]`, little-endian float32.' }),
                },
              },
            },
          },
        ),
      },
      '/profiles': {
        get: operation(
          'listProfiles',
          'List profiles, in the order of their ids',
          ok('200', 'A page.', profilesAnswer),
          ['missing-input', 'invalid-input', 'not-found'],
          {
            requestParams: { query: listSchema },
          },
        ),
        post: operation(
          'importProfile',
          'Store a profile that was exported, or made by the runtime, as a new one',
          imported('201', 'The new profile.'),
          [...body, 'not-found', 'profile-mismatch'],
          {
            requestParams: { query: importSchema },
            requestBody: { required: true, content: { [BYTES]: { schema: binary } } },
          },
        ),
      },
      '/profiles/{id}': {
        get: operation(
          'getProfile',
          'What is known of a profile',
          {
            ...ok('200', 'The profile.', profileAnswer, tagged),
            '304': { description: 'It still has the ETag of If-None-Match.' },
          },
          ['malformed-request', 'not-found'],
          { requestParams: path() },
        ),
        put: operation(
          'replaceProfile',
          'Store the bytes of a profile under an id',
          { ...imported('200', 'The next version.'), ...imported('201', 'A new profile.') },
          [...body, 'not-found', 'profile-mismatch', 'version-conflict'],
          {
            requestParams: { ...path({ 'If-Match': ifMatch }), query: importSchema },
            requestBody: { required: true, content: { [BYTES]: { schema: binary } } },
          },
        ),
        delete: operation(
          'deleteProfile',
          'Delete a profile',
          { '204': { description: 'It is gone.', headers: z.object(header) } },
          ['malformed-request', 'not-found', 'version-conflict', 'invalid-input'],
          { requestParams: path({ 'If-Match': ifMatch }) },
        ),
      },
      '/profiles/{id}/export': {
        get: operation(
          'exportProfile',
          "A profile's bytes: a safetensors file, see docs/bundle-format.md",
          {
            '200': {
              description: 'The bytes.',
              headers: z.object({ ...header, ...tagged }),
              content: { [BYTES]: { schema: binary } },
            },
            '304': { description: 'It still has the ETag of If-None-Match.' },
          },
          ['malformed-request', 'not-found'],
          { requestParams: path() },
        ),
      },
      '/models': {
        get: operation(
          'models',
          'What the models can do',
          ok('200', 'All models; the first is the default.', modelsAnswer),
          [],
        ),
      },
      '/metrics': {
        get: operation(
          'metrics',
          'Figures for Prometheus; where keys are asked for, to operators only',
          {
            '200': {
              description: 'Text format 0.0.4.',
              headers: z.object(header),
              content: { 'text/plain': { schema: z.string() } },
            },
          },
          secured ? ['forbidden'] : [],
        ),
      },
      '/health': { get: open('health', 'How the service is', ok('200', 'It answers.', healthAnswer)) },
      '/health/live': { get: open('live', 'Whether the process answers', ok('200', 'It does.', statusAnswer)) },
      '/health/ready': {
        get: open('ready', 'Whether requests should be sent here', ok('200', 'They should.', statusAnswer)),
      },
      '/openapi.json': {
        get: open('openapi', 'This document', ok('200', 'OpenAPI 3.1.', z.record(z.string(), z.unknown()))),
      },
      '/docs': {
        get: open('docs', 'This document as a page', {
          '200': {
            description: 'The page.',
            headers: z.object(header),
            content: { 'text/html': { schema: z.string() } },
          },
        }),
      },
    },
    components: {
      schemas: { Example: exampleSchema, Image: imageSchema },
      ...(secured
        ? {
            securitySchemes: {
              key: { type: 'http', scheme: 'bearer', description: '`whet keys add NAME` makes one.' },
            },
          }
        : {}),
    },
  });

  function adapted(status: '200' | '201', description: string) {
    const events = status === '200' ? { 'text/event-stream': { schema: z.string() } } : {};
    return {
      [status]: {
        description,
        headers: z.object({ 'Server-Timing': timing, Location: location.Location.optional() }),
        content: { ...json(adaptAnswer), ...events },
      },
    };
  }
}

/** What any answer may be. */
const anywhere = ['malformed-request', 'misdirected', 'timeout', 'internal-error', 'unavailable'] as const;

/** Refusals by status, with what any answer may be. */
function refusalsOf(refusals: readonly ProblemKind[]): ZodOpenApiResponsesObject {
  const byStatus = new Map<string, string[]>();
  for (const kind of new Set([...refusals, ...anywhere])) {
    const { status, title } = kinds[kind];
    byStatus.set(`${status}`, [...(byStatus.get(`${status}`) ?? []), `${title} (\`${kind}\`)`]);
  }
  const entries = [...byStatus].sort(([a], [b]) => Number(a) - Number(b));
  return Object.fromEntries(
    entries.map(([status, titles]) => [
      status,
      {
        description: `${titles.join('; ')}.`,
        headers: z.object(header),
        content: { [PROBLEM]: { schema: problemAnswer } },
      },
    ]),
  ) as ZodOpenApiResponsesObject;
}
