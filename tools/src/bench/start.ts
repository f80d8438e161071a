import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { basename, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median } from '@whet/trainer';
import { machine } from './harness.js';
import { type ProcessUsage, processUsage } from './process-usage.js';

// What `whet serve` takes until it answers, and two seconds later: of this checkout, or of others that are built, in turns.

const LATER_MS = 2000;
const MOMENTS = ['answers', '2 s later'] as const;

const { values: options, positionals } = parseArgs({
  options: { rounds: { type: 'string', default: '7' } },
  allowPositionals: true,
});
const rounds = Number(options.rounds);
const own = fileURLToPath(new URL('../../..', import.meta.url));
const checkouts = (positionals.length > 0 ? positionals : [own]).map((folder) => resolve(folder));

if (process.platform === 'linux') await measure();
else process.stdout.write(`bench:start reads /proc, which Linux has; this is ${process.platform}\n`);

async function measure(): Promise<void> {
  const usages = checkouts.map((): ProcessUsage[][] => []);
  // The first round is for the disk.
  for (let round = -1; round < rounds; round++) {
    for (const [i, checkout] of checkouts.entries()) {
      const usage = await usageOfStart(checkout);
      if (round >= 0) usages[i]?.push(usage);
    }
  }
  const head = ['checkout', ...MOMENTS.flatMap((moment) => [`${moment}: processor s`, `${moment}: MB`])];
  process.stdout.write(
    `\`whet serve\` until it answers, and then: medians of ${rounds}, in turns. ${machine()}.\n\n` +
      `| ${head.join(' | ')} |\n|${'---|'.repeat(head.length)}\n`,
  );
  for (const [i, checkout] of checkouts.entries()) {
    const medianOf = (of: keyof ProcessUsage, at: number) =>
      median((usages[i] ?? []).map((each) => (each[at] as ProcessUsage)[of]));
    const cells = MOMENTS.flatMap((_, at) => [
      medianOf('seconds', at).toFixed(2),
      (medianOf('bytes', at) / 1e6).toFixed(0),
    ]);
    process.stdout.write(`| ${[basename(checkout), ...cells].join(' | ')} |\n`);
  }
}

/** At each of {@link MOMENTS}, of a service that is then ended. Throws where it does not start. */
async function usageOfStart(checkout: string): Promise<ProcessUsage[]> {
  const args = [join(checkout, 'cli/dist/main.js'), 'serve', '--port', '0', '--store', 'memory:'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      if (!/http:\/\/\S+/.test(line)) continue;
      const pid = child.pid as number;
      const answering = await processUsage(pid);
      await pause(LATER_MS);
      return [answering, await processUsage(pid)];
    }
    throw new Error(`${checkout}: expected a built checkout whose \`whet serve\` answers, got one that ended`);
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}
