/** A class of an image and how probable each class is. */
export interface PredictionAnswer {
  label: string;
  probabilities: Record<string, number>;
  /** How near the image comes to the classes; below 0 where it is more like a picture of none of them. Absent where a profile cannot tell. */
  familiarity?: number | undefined;
}

/** Examples asked about unseen, how many came out right, and their mean cross-entropy. */
export interface HeldBackAnswer {
  asked: number;
  right: number;
  loss: number;
}

export interface AdaptAnswer {
  /** Id of the profile. */
  profile: string;
  /** 1 of a new profile, one more with every change. */
  version: number;
  model: string;
  pattern: string;
  classes: string[];
  /** Classes that neither the model itself nor the profile that was continued had. */
  added?: string[] | undefined;
  /** Whether the head is one in closed form, rather than where steps of it led. */
  solved: boolean;
  /** Loss of the examples before each inner step; of one that was taken back, that of the values gone back to. */
  losses: number[];
  /** After the last step; absent where there was none. */
  loss?: number | undefined;
  /** How many times the rate was halved, as a step would have raised the loss. */
  halved: number;
  /** How many of the examples come out right when they are asked about unseen; absent where no class has two. */
  heldBack?: HeldBackAnswer | undefined;
  /** Why no step was taken where some were asked for; absent where they were. */
  spared?: string | undefined;
  /** With pattern `auto`: what was tried, and why the profile has its pattern. */
  auto?:
    | {
        trials: {
          pattern: string;
          steps: number;
          /** Whether the head is one in closed form. */
          solved: boolean;
          /** Views of each example that it was adapted to besides. */
          withViews: number;
          heldBack?: HeldBackAnswer | undefined;
          views?: HeldBackAnswer | undefined;
          milliseconds: number;
        }[];
        reason: string;
      }
    | undefined;
  /** What is stored. */
  bytes: number;
  milliseconds: { decode: number; encode: number; steps: number; total: number };
}

export interface PredictAnswer {
  /** Of a single image, what is said of it stands here too. */
  label?: string | undefined;
  probabilities?: Record<string, number> | undefined;
  familiarity?: number | undefined;
  predictions: PredictionAnswer[];
  milliseconds: { decode: number; predict: number; total: number };
}

export interface ProfileAnswer {
  profile: string;
  version: number;
  model: string;
  pattern: string;
  classes: string[];
  /** How many examples of each class it was adapted to. */
  examples: Record<string, number>;
  bytes: number;
  /** ISO 8601. */
  created: string;
  updated: string;
}

export interface ProfilesAnswer {
  profiles: ProfileAnswer[];
  /** Pass it as `after` for the next page; absent on the last. */
  next?: string | undefined;
}

export interface HealthAnswer {
  status: 'ok';
  version: string;
  /** Seconds. */
  uptime: number;
  models: string[];
  /** How many there are; not told where keys are asked for. */
  profiles?: number | undefined;
}

/** A refusal, by RFC 9457. */
export interface ProblemAnswer {
  type: string;
  title: string;
  status: number;
  detail: string;
  /** The input at fault, as in `examples[3].image`. */
  field: string;
  /** Of a version conflict: the version that is stored. */
  current?: number | undefined;
}

/** An image: the bytes of a PNG, JPEG or WebP file, or a preprocessed tensor `[C, H, W]` row by row. */
export type ClientImage = Uint8Array | Float32Array;

export interface AdaptRequest {
  readonly examples: readonly { readonly label: string; readonly image: ClientImage }[];
  readonly model?: string;
  /** One of the model's, or `auto`. */
  readonly pattern?: string;
  /** Of `auto`: milliseconds after which no more patterns are tried. */
  readonly budgetMs?: number;
  readonly steps?: number;
  readonly rate?: number;
  /** Takes steps below the head even where views of the examples leave them nothing to learn; not with `auto`. */
  readonly always?: boolean;
  /**
   * Examples of each class that the profile remembers at most, as features, so that what it learns later does not displace them; as many as the
   * profile that it continues when absent, else none.
   */
  readonly remember?: number;
  /** Of `continue`: how much of the way back to `profile` what moved is pulled in the end, 0 (when absent) to less than 1. */
  readonly anchor?: number;
  /** A stored profile to change, instead of making a new one. */
  readonly profile?: string;
  /** Whether to go on from what the profile has learnt; otherwise it starts over. */
  readonly continue?: boolean;
  /** The version that the profile must have; otherwise the request is refused with status 409. */
  readonly version?: number;
}

export interface AdaptCall {
  readonly signal?: AbortSignal;
  /** Called after each inner step (counted from 1) with the loss before it. */
  readonly onStep?: (step: number, loss: number) => void;
}

export interface ClientOptions {
  /** An API key, where the service asks for one. */
  readonly key?: string;
  /** What sends the requests; the platform's own when absent. */
  readonly fetch?: typeof fetch;
}

/** A request that the service refused. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  constructor(
    readonly problem: ProblemAnswer,
    /** Seconds after which to try again, where the service said so. */
    readonly retryAfter: number | undefined,
  ) {
    super(problem.detail);
  }

  get status(): number {
    return this.problem.status;
  }
}

/** A client of Whet's service, in Node.js and in browsers. Its methods reject with {@link RequestError}. */
export class WhetClient {
  readonly #base: string;
  readonly #key: string | undefined;
  readonly #fetch: typeof fetch;

  constructor(url: string | URL, { key, fetch: send = (...request) => fetch(...request) }: ClientOptions = {}) {
    this.#base = String(url).replace(/\/+$/, '');
    this.#key = key;
    this.#fetch = send;
  }

  /** Adapts to labelled examples and stores the profile. */
  async adapt({ examples, ...options }: AdaptRequest, { signal, onStep }: AdaptCall = {}): Promise<AdaptAnswer> {
    const body = { ...options, examples: examples.map(({ label, image }) => ({ label, ...imageBody(image) })) };
    const accept = onStep ? 'text/event-stream' : 'application/json';
    const response = await this.#post('/adapt', body, { Accept: accept }, signal);
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
    return isStream ? readEvents(response, onStep) : ((await response.json()) as AdaptAnswer);
  }

  /** Predicts images with a profile; without one, with the classes that a model has of its own. */
  async predict(
    target: { readonly profile: string } | { readonly model?: string },
    images: readonly ClientImage[],
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<PredictAnswer> {
    const body = { ...target, images: images.map(imageBody) };
    return (await this.#post('/predict', body, {}, signal)).json() as Promise<PredictAnswer>;
  }

  /** What the service's bundles can do, as their manifests say it. */
  async models(): Promise<{ models: { name: string; [member: string]: unknown }[] }> {
    return this.#json('/models');
  }

  async health(): Promise<HealthAnswer> {
    return this.#json('/health');
  }

  async profiles({ limit, after }: { readonly limit?: number; readonly after?: string } = {}): Promise<ProfilesAnswer> {
    const query = new URLSearchParams();
    if (limit !== undefined) query.set('limit', String(limit));
    if (after !== undefined) query.set('after', after);
    return this.#json(`/profiles?${query}`);
  }

  async profile(id: string): Promise<ProfileAnswer> {
    return this.#json(`/profiles/${encodeURIComponent(id)}`);
  }

  async deleteProfile(id: string, { etag }: { readonly etag?: string } = {}): Promise<void> {
    const headers: Record<string, string> = etag === undefined ? {} : { 'If-Match': etag };
    await this.#send(`/profiles/${encodeURIComponent(id)}`, { method: 'DELETE', headers });
  }

  /** A profile's bytes, for `importProfile` or the runtime's `profileFromBytes`, and the tag of its version. */
  async exportProfile(id: string): Promise<{ bytes: Uint8Array; etag: string }> {
    const response = await this.#send(`/profiles/${encodeURIComponent(id)}/export`);
    return { bytes: new Uint8Array(await response.arrayBuffer()), etag: response.headers.get('etag') ?? '' };
  }

  /** Stores a profile that was exported, or made by the runtime on a device: as a new one, or under an id. */
  async importProfile(
    bytes: Uint8Array,
    { id, model, etag }: { readonly id?: string; readonly model?: string; readonly etag?: string } = {},
  ): Promise<ProfileAnswer> {
    const query = model === undefined ? '' : `?${new URLSearchParams({ model })}`;
    const path = id === undefined ? '/profiles' : `/profiles/${encodeURIComponent(id)}`;
    const headers = { 'Content-Type': 'application/octet-stream', ...(etag === undefined ? {} : { 'If-Match': etag }) };
    const init = { method: id === undefined ? 'POST' : 'PUT', headers, body: bytes as Uint8Array<ArrayBuffer> };
    return (await this.#send(path + query, init)).json() as Promise<ProfileAnswer>;
  }

  async #json<T>(path: string): Promise<T> {
    return (await this.#send(path)).json() as Promise<T>;
  }

  #post(path: string, body: unknown, headers: Record<string, string>, signal?: AbortSignal): Promise<Response> {
    return this.#send(path, {
      method: 'POST',
      headers: { ...headers, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      ...(signal ? { signal } : {}),
    });
  }

  async #send(path: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    const headers = { ...init.headers, ...(this.#key === undefined ? {} : { Authorization: `Bearer ${this.#key}` }) };
    const response = await this.#fetch(this.#base + path, { ...init, headers });
    if (response.ok) return response;
    const retryAfter = response.headers.get('retry-after');
    throw new RequestError(await readProblem(response), retryAfter === null ? undefined : Number(retryAfter));
  }
}

function imageBody(image: ClientImage): { image: string } | { tensor: { data: string } } {
  if (!(image instanceof Float32Array)) return { image: base64(image) };
  const view = new DataView(new ArrayBuffer(image.length * 4));
  for (const [i, value] of image.entries()) view.setFloat32(i * 4, value, true);
  return { tensor: { data: base64(new Uint8Array(view.buffer)) } };
}

function base64(bytes: Uint8Array): string {
  let text = '';
  // In parts: a call takes only so many arguments.
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

/** The problem in an answer; what stands between (a proxy) may answer without one. */
async function readProblem(response: Response): Promise<ProblemAnswer> {
  const text = await response.text();
  if (response.headers.get('content-type')?.startsWith('application/problem+json')) {
    return JSON.parse(text) as ProblemAnswer;
  }
  const { status, statusText } = response;
  return { type: 'about:blank', title: statusText, status, detail: `HTTP ${status} ${statusText}`, field: 'request' };
}

async function readEvents(response: Response, onStep: AdaptCall['onStep']): Promise<AdaptAnswer> {
  let buffered = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    buffered += decoder.decode(chunk, { stream: true });
    const events = buffered.split('\n\n');
    buffered = events.pop() ?? '';
    for (const event of events) {
      const name = fieldOf(event, 'event');
      const data: unknown = JSON.parse(fieldOf(event, 'data') ?? 'null');
      if (name === 'done') return data as AdaptAnswer;
      if (name === 'problem') throw new RequestError(data as ProblemAnswer, undefined);
      if (name === 'step') {
        const { step, loss } = data as { step: number; loss: number };
        onStep?.(step, loss);
      }
    }
  }
  throw new Error('the service ended the stream before the profile was stored');
}

/** A field of an event. Only line feeds part its lines: to a regular expression's `.` and `$`, some of a label's would too. */
function fieldOf(event: string, name: string): string | undefined {
  const start = `${name}: `;
  return event
    .split('\n')
    .find((line) => line.startsWith(start))
    ?.slice(start.length);
}
