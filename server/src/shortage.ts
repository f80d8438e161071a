/** The system's codes where it has no file descriptor, thread or memory left, and Node.js's of a thread that does not start. */
const CODES: readonly unknown[] = ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM', 'ERR_WORKER_INIT_FAILED'];
/** The same in words, of libraries that are loaded: what loads them keeps no code. */
const WORDS =
  /\b(EMFILE|ENFILE|too many open files|cannot allocate memory|not enough memory|resource temporarily unavailable)\b/i;

/** Whether an error is the system's lack of something that others give back soon. */
export function isShortage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return CODES.includes((error as NodeJS.ErrnoException).code) || WORDS.test(error.message);
}
