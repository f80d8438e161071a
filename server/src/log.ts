import { destination, type Logger, pino } from 'pino';

/** Bytes that wait to be written at most, as to a pipe that nobody reads; what comes then is dropped. */
const WAITING_BYTES = 1 << 20;

/** A log of one JSON object a line, on standard error. Where that cannot be written, as on a full disk, lines are lost and nothing else. */
export function openLog(level: string): Logger {
  const lines = destination({ dest: 2, sync: false, maxLength: WAITING_BYTES });
  let isBroken = false;
  lines.on('error', () => {
    isBroken = true;
  });
  lines.on('write', () => {
    isBroken = false;
  });
  // It would try again without end, when the process is to end.
  const flushSync = lines.flushSync.bind(lines);
  lines.flushSync = () => {
    if (!isBroken) flushSync();
  };
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, lines);
}
