import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bytes as formatBytes, formatTable, milliseconds, percent, startProgress } from '@whet/cli';
import { generatorFor, median } from '@whet/trainer';
import { charactersDirectory, type DemoImage, loadDemoImages } from './demo-images.js';

const WAYS = 5;
const SHOTS = [1, 5] as const;

interface AdaptAnswer {
  readonly profile: string;
  readonly bytes: number;
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
  const main = fileURLToPath(import.meta.resolve('@whet/cli/main'));
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

function adapt(url: string, task: Task, pattern: string, steps?: number): Promise<AdaptAnswer> {
  const examples = task.support.map((image) => ({ label: image.label, image: base64(image) }));
  return post(`${url}/adapt`, { pattern, examples, ...(steps === undefined ? {} : { steps }) });
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

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      /** Images that are predicted, of all classes. */
      queries: { type: 'string', default: '100' },
      /** Adaptations timed per row; the table shows medians. */
      repeats: { type: 'string', default: '7' },
    },
  });
  const repeats = Number(values.repeats);
  const tasks = drawTasks(await loadDemoImages(charactersDirectory), Number(values.seed), Number(values.queries));
  const queries = tasks[0]?.queries.length ?? 0;
  const service = await startService();
  try {
    const { url } = service;
    const { models } = (await (await fetch(`${url}/models`)).json()) as {
      models: { name: string; patterns: Record<string, object> }[];
    };
    const model = models[0];
    if (!model) throw new Error(`${url}/models lists no model`);
    const patterns = Object.keys(model.patterns);
    const classes = [...new Set(tasks[0]?.support.map(({ label }) => label))];
    process.stdout.write(`${model.name} at ${url}\n${WAYS} classes it never saw: ${classes.join(', ')}\n\n`);

    const progress = startProgress('predict', tasks.length * patterns.length * 2 * queries);
    let done = 0;
    const rows: string[][] = [];
    for (const task of tasks) {
      const times = new Map(patterns.map((pattern) => [pattern, [] as AdaptAnswer[]]));
      // Interleaved, so that a slow moment of the machine meets all patterns alike; the first round warms up.
      for (let repeat = 0; repeat <= repeats; repeat++) {
        for (const pattern of patterns) {
          const answer = await adapt(url, task, pattern);
          if (repeat > 0) times.get(pattern)?.push(answer);
        }
      }
      const timeOf = (pattern: string, part: keyof AdaptAnswer['milliseconds']) =>
        median((times.get(pattern) ?? []).map((answer) => answer.milliseconds[part]));
      for (const pattern of patterns) {
        const onDone = () => progress.update(++done, `${task.shots}-shot, ${pattern}`);
        const start = await adapt(url, task, pattern, 0);
        const before = await predictAll(url, task, start.profile, onDone);
        const last = times.get(pattern)?.at(-1) as AdaptAnswer;
        const after = await predictAll(url, task, last.profile, onDone);
        rows.push([
          pattern,
          `${task.shots}`,
          percent(1 / WAYS, 0),
          percent(before.accuracy, 0),
          percent(after.accuracy, 0),
          milliseconds(timeOf(pattern, 'total')),
          ['decode', 'encode', 'steps'].map((part) => timeOf(pattern, part as 'decode').toFixed(1)).join(' + '),
          `${((timeOf('full', 'encode') + timeOf('full', 'steps')) / (timeOf(pattern, 'encode') + timeOf(pattern, 'steps'))).toFixed(1)}x`,
          formatBytes(last.bytes),
          milliseconds(after.request),
        ]);
      }
    }
    progress.stop();
    const head = [
      'pattern',
      'shots',
      'guessing',
      '0 steps',
      'adapted',
      'adapt',
      'decode + encode + steps',
      'speed-up*',
      'stored',
      'predict',
    ];
    process.stdout.write(`${formatTable(head, rows)}\n`);
    process.stdout.write(
      `Accuracy on ${queries} other images, one request each. "0 steps": class prototypes only, before any gradient step.\n` +
        `Times are medians: of ${repeats} adaptations in the service, and of the requests as the caller sees them.\n` +
        '* of encode + steps, over pattern full (all weights move, nothing cached); decoding costs every pattern the same.\n',
    );
  } finally {
    service.process.kill();
  }
}

await main();
