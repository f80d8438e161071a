import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileModel } from '@whet/trainer';
import { hostileModels } from './models.js';

/** What compiling a hostile model took, and how it ended. */
interface Ended {
  readonly megabytes: number;
  readonly seconds: number;
  /** The most memory of the process that compiles, of which `before` was taken by making the model. */
  readonly peak: number;
  readonly before: number;
  readonly said: string;
}

const megabytes = (bytes: number): number => Math.round(bytes / 2 ** 20);

/** Compiles one model in this process. */
async function compileHostile(name: string): Promise<Ended> {
  const hostile = hostileModels[name];
  if (!hostile) throw new Error(`expected one of ${Object.keys(hostileModels).join(', ')}; got "${name}"`);
  const model = hostile.build(1);
  const before = megabytes(process.memoryUsage.rss());
  const folder = await mkdtemp(join(tmpdir(), 'whet-attack-'));
  const start = performance.now();
  const options = { model, fileName: 'hostile.onnx', directory: join(folder, 'bundle'), name: 'hostile' };
  const said = await compileModel({ ...options, patterns: { p: [hostile.moves ?? 'none'] } }).then(
    () => 'compiles',
    (error: Error) => error.message.split('\n')[0] ?? '',
  );
  const seconds = (performance.now() - start) / 1000;
  await rm(folder, { recursive: true, force: true });
  const peak = Math.round(process.resourceUsage().maxRSS / 1024);
  return { megabytes: model.length / 2 ** 20, seconds, peak, before, said };
}

const [only, single] = process.argv.slice(2);
if (only === '--one' && single) {
  process.send?.(await compileHostile(single));
  process.disconnect?.();
} else {
  console.log('model | MB | s | peak MB (before) | ends as');
  for (const name of Object.keys(hostileModels).filter((each) => each.includes(only ?? ''))) {
    const child = fork(fileURLToPath(import.meta.url), ['--one', name]);
    const ended = await new Promise<Ended | undefined>((resolve) => {
      child.once('message', (message) => resolve(message as Ended));
      child.once('exit', () => resolve(undefined));
    });
    const {
      megabytes: size,
      seconds,
      peak,
      before,
      said,
    } = ended ?? { megabytes: 0, seconds: 0, peak: 0, before: 0, said: 'CRASHED' };
    console.log(`${name} | ${size.toFixed(1)} | ${seconds.toFixed(1)} | ${peak} (${before}) | ${said}`);
  }
}
