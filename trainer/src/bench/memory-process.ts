/** The child process of `measureMemory`: adapts with one pattern, answers once, and is ended. */
import { writeFileSync } from 'node:fs';
import { openBenchBackend } from './backends.js';
import type { MemoryAnswer, MemoryRequest, MemoryUse } from './memory.js';
import { noiseExamples } from './time-patterns.js';

const ADAPTATIONS = 3;

/** Bytes; Node.js gives kilobytes on every system. */
const highest = () => process.resourceUsage().maxRSS * 1024;

/** Sets the highest resident memory so far back to the present one, where the system can (Linux). */
function forgetHighest(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Elsewhere loading may have taken more than adapting does; then what is seen between steps counts.
  }
}

async function measure(request: MemoryRequest): Promise<MemoryUse> {
  const { backend, directory, threads, memory, ways, shots, ...options } = request;
  const { load } = await openBenchBackend(backend, { ...(threads && { threads }), ...(memory && { memory }) });
  const bundle = await load(directory, [request.pattern]);
  const examples = noiseExamples(bundle, ways, shots);
  forgetHighest();
  const [before, loaded] = [process.memoryUsage.rss(), highest()];
  let seen = before;
  const look = () => {
    seen = Math.max(seen, process.memoryUsage.rss());
  };
  for (let i = 0; i < ADAPTATIONS; i++) {
    await bundle.adapt(examples, { ...options, always: true, onStep: look });
    look();
  }
  const peak = highest() > loaded ? Math.max(highest(), seen) : seen;
  return { peakBytes: peak - before, keptBytes: process.memoryUsage.rss() - before };
}

process.once('message', async (request: MemoryRequest) => {
  const answer: MemoryAnswer = await measure(request).then(
    (use) => use,
    (error: unknown) => ({ problem: error instanceof Error ? error.message : String(error) }),
  );
  process.send?.(answer);
});
