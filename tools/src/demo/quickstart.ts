import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { OMNIGLOT_BUNDLE, PHOTOS_BUNDLE } from '@whet/models';
import { AUTO } from '@whet/runtime/format';
import { generatorFor, median } from '@whet/trainer';
import { bytes as formatBytes, formatTable, milliseconds, percent, startProgress } from 'whet';
import { charactersDirectory, type DemoImage, loadDemoImages, thingsDirectory } from './demo-images.js';

const WAYS = 5;
const SHOTS = [1, 5] as const;

/** What a shipped bundle is shown. */
interface Demo {
  readonly model: string;
  readonly of: string;
  readonly images: string;
  /** The pattern that speed-ups are over. */
  readonly dense: string;
}

const DEMOS: readonly Demo[] = [
  { model: PHOTOS_BUNDLE, of: 'things', images: thingsDirectory, dense: 'dense' },
  { model: OMNIGLOT_BUNDLE, of: 'characters', images: charactersDirectory, dense: 'full' },
];

interface AdaptAnswer {
  readonly profile: string;
  readonly pattern: string;
  readonly bytes: number;
  readonly spared?: string;
  readonly losses: readonly number[];
  readonly milliseconds: {
    readonly decode: number;
    readonly encode: number;
    readonly steps: number;
    readonly total: number;
  };
}

interface Task {
  readonly shots: number;
  readonly support: readonly DemoImage[];
  readonly queries: readonly DemoImage[];
}

/** Starts `whet serve` on a free port and returns its address. */
async function startService(): Promise<{ url: string; process: ChildProcess }> {
  const main = fileURLToPath(import.meta.resolve('whet/main'));
  const child = spawn(
    process.execPath,
    [main, 'serve', '--port', '0', '--store', 'memory:', '--log-level', 'warn', '--adapt-niceness', '0'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/\S+/.exec(line)?.[0];
    if (url) return { url, process: child };
  }
  throw new Error('the service ended before it was listening');
}

async function post<T>(url: string, body: object): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer: unknown = await response.json();
  if (!response.ok) throw new Error(`${url}: ${response.status}: ${JSON.stringify(answer)}`);
  return answer as T;
}

const base64 = (image: DemoImage): string => Buffer.from(image.bytes).toString('base64');

interface Asked {
  readonly model: string;
  readonly pattern: string;
  readonly steps?: number;
  readonly always?: true;
}

function adapt(url: string, task: Task, asked: Asked): Promise<AdaptAnswer> {
  const examples = task.support.map((image) => ({ label: image.label, image: base64(image) }));
  return post(`${url}/adapt`, { ...asked, examples });
}

/** Share of right answers, and the median milliseconds a request took as its caller sees it. */
async function predictAll(url: string, task: Task, profile: string, onDone: () => void) {
  let hits = 0;
  const times: number[] = [];
  for (const query of task.queries) {
    const began = performance.now();
    const { label } = await post<{ label: string }>(`${url}/predict`, { profile, image: base64(query) });
    times.push(performance.now() - began);
    if (label === query.label) hits++;
    onDone();
  }
  return { accuracy: hits / task.queries.length, request: median(times) };
}

/** Classes and images by a seed: nobody picked easy ones. Support and queries share no image. */
function drawTasks(images: ReadonlyMap<string, readonly DemoImage[]>, seed: number, count: number): Task[] {
  const random = generatorFor(seed, 'quickstart', 0);
  const labels = [...images.keys()].sort();
  const classes = random.sample(labels.length, WAYS).map((i) => images.get(labels[i] as string) ?? []);
  const most = Math.max(...SHOTS);
  const perClass = Math.ceil(count / WAYS);
  const shuffled = classes.map((drawings) => random.shuffle([...drawings]));
  const queries = shuffled.flatMap((drawings) => drawings.slice(most, most + perClass));
  return SHOTS.map((shots) => ({ shots, queries, support: shuffled.flatMap((drawings) => drawings.slice(0, shots)) }));
}

/** Adapts by every pattern in turn, so that a slow moment of the machine meets all alike; the first round warms up, and is shown where it is the only one. */
async function timeAll(url: string, task: Task, { model, dense }: Demo, patterns: readonly string[], repeats: number) {
  const answers = new Map(patterns.map((pattern) => [pattern, [] as AdaptAnswer[]]));
  for (let repeat = 0; repeat <= repeats; repeat++) {
    for (const pattern of patterns) {
      const answer = await adapt(url, task, { model, pattern, ...(pattern === dense ? { always: true } : {}) });
      if (repeat > 0 || repeats === 0) answers.get(pattern)?.push(answer);
    }
  }
  return answers;
}

const HEAD = [
  'of',
  'shots',
  'pattern',
  '0 steps',
  'adapted',
  'adapt',
  'decode + encode + steps',
  'speed-up*',
  'stored',
  'predict',
];

interface Settings {
  readonly seed: number;
  readonly queries: number;
  readonly repeats: number;
}

/** Rows of the table for one bundle. */
async function rowsOf(
  url: string,
  demo: Demo,
  bundled: readonly string[],
  { seed, queries, repeats }: Settings,
): Promise<string[][]> {
  const { model, of, images, dense } = demo;
  const patterns = [...bundled, AUTO];
  const tasks = drawTasks(await loadDemoImages(images), seed, queries);
  const classes = [...new Set(tasks[0]?.support.map(({ label }) => label))];
  process.stdout.write(`${WAYS} ${of} that ${model} never saw: ${classes.join(', ')}\n`);
  const progress = startProgress(
    `predict ${of}`,
    tasks.length * (patterns.length + 1) * (tasks[0]?.queries.length ?? 0),
  );
  const rows: string[][] = [];
  let done = 0;
  for (const task of tasks) {
    const onDone = () => progress.update(++done, `${task.shots}-shot`);
    const start = await adapt(url, task, { model, pattern: 'head', steps: 0 });
    const before = await predictAll(url, task, start.profile, onDone);
    const answers = await timeAll(url, task, demo, patterns, repeats);
    const timeOf = (pattern: string, part: keyof AdaptAnswer['milliseconds']) =>
      median((answers.get(pattern) ?? []).map(({ milliseconds }) => milliseconds[part]));
    const work = (pattern: string) => timeOf(pattern, 'encode') + timeOf(pattern, 'steps');
    for (const pattern of patterns) {
      const last = answers.get(pattern)?.at(-1) as AdaptAnswer;
      const after = await predictAll(url, task, last.profile, onDone);
      rows.push([
        of,
        `${task.shots}`,
        pattern === AUTO ? `${AUTO}: ${last.pattern}` : `${pattern}${last.spared === undefined ? '' : ', spared'}`,
        percent(before.accuracy, 0),
        percent(after.accuracy, 0),
        milliseconds(timeOf(pattern, 'total')),
        ['decode', 'encode', 'steps'].map((part) => timeOf(pattern, part as 'decode').toFixed(1)).join(' + '),
        `${(work(dense) / work(pattern)).toFixed(1)}x`,
        formatBytes(last.bytes),
        milliseconds(after.request),
      ]);
    }
  }
  progress.stop();
  return rows;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      /** Images that are predicted, of all classes. */
      queries: { type: 'string', default: '75' },
      /** Adaptations timed per row, after one that warms up; the table shows medians. 0 shows the one that warms up. */
      repeats: { type: 'string', default: '5' },
    },
  });
  const settings = { seed: Number(values.seed), queries: Number(values.queries), repeats: Number(values.repeats) };
  const service = await startService();
  try {
    const { url } = service;
    const { models } = (await (await fetch(`${url}/models`)).json()) as {
      models: { name: string; patterns: Record<string, object> }[];
    };
    process.stdout.write(`${models.map(({ name }) => name).join(' and ')} at ${url}\n\n`);
    const rows: string[][] = [];
    for (const demo of DEMOS) {
      const served = models.find(({ name }) => name === demo.model);
      if (!served) throw new Error(`${url}/models: expected "${demo.model}", got ${models.map(({ name }) => name)}`);
      rows.push(...(await rowsOf(url, demo, Object.keys(served.patterns), settings)));
    }
    process.stdout.write(`\n${formatTable(HEAD, rows)}\n`);
    process.stdout.write(
      `Accuracy on ${settings.queries} other images, one request each; guessing gets ${percent(1 / WAYS, 0)}. "0 steps": the head as it starts, before anything is learned.\n` +
        `Times are medians: of ${Math.max(1, settings.repeats)} adaptations in the service, and of the requests as the caller sees them.\n` +
        '* of encode + steps, over the pattern that moves most: "dense", all weights of the last five blocks of things’ network,\n' +
        '  and "full", all weights of the characters’ network, whose steps are always taken. "spared": views of the examples\n' +
        '  left steps nothing to learn.\n',
    );
  } finally {
    service.process.kill();
  }
}

await main();
