import { MultiBar, Presets } from 'cli-progress';

/** A progress bar on standard error; lines where standard error is not a terminal. */
export interface Progress {
  update(done: number, text: string): void;
  stop(): void;
}

const FORMAT = '{label} {bar} {percentage}% | {value}/{total} | {eta_formatted} left | {text}';

/** Milliseconds off a terminal without a line, after which one is due. */
const QUIET = 30_000;

/** Starts a bar of `total` units, `from` of them done. Off a terminal, a line is printed at first and then every tenth of the way, or half a minute, instead. */
export function startProgress(label: string, total: number, from = 0): Progress {
  if (!process.stderr.isTTY) return lineProgress(label, total, from);
  const bars = new MultiBar(
    { format: FORMAT, hideCursor: true, etaBuffer: 50, stream: process.stderr, clearOnComplete: false },
    Presets.shades_classic,
  );
  const bar = bars.create(total, from, { label, text: '' });
  return {
    update: (done, text) => bar.update(done, { text }),
    stop: () => bars.stop(),
  };
}

function lineProgress(label: string, total: number, from: number): Progress {
  const began = performance.now();
  let last = Number.NEGATIVE_INFINITY;
  let reported = Math.floor((from * 10) / total);
  return {
    update: (done, text) => {
      const tenth = Math.floor((done * 10) / total);
      const now = performance.now();
      if (done <= from || (tenth <= reported && now - last < QUIET)) return;
      reported = tenth;
      last = now;
      const seconds = ((now - began) / 1000 / (done - from)) * (total - done);
      const left = done < total && seconds >= 1 ? ` | ${Math.round(seconds)} s left` : '';
      process.stderr.write(`${label}: ${done}/${total} ${text}${left}\n`);
    },
    stop: () => undefined,
  };
}
