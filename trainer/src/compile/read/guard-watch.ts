import { writeSync } from 'node:fs';
import { setInterval } from 'node:timers';
import { workerData } from 'node:worker_threads';

/** Milliseconds between two looks. */
const PAUSE = 20;
const STDERR = 2;

const limits = workerData as Float64Array;
const end = (what: 'time' | 'memory') => {
  writeSync(STDERR, `\nlimit: ${what}\n`);
  process.kill(process.pid, 'SIGKILL');
};

setInterval(() => {
  const [microseconds = Number.POSITIVE_INFINITY, bytes = Number.POSITIVE_INFINITY] = limits;
  const { user, system } = process.cpuUsage();
  if (user + system > microseconds) end('time');
  if (process.memoryUsage.rss() > bytes) end('memory');
}, PAUSE);
