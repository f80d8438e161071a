/** The child process of `probeBackend`: opens one backend, answers once, and is ended. */
import { BackendUnavailableError, firstLine } from './errors.js';
import { openBackend } from './open.js';
import type { Probe, ProbeRequest } from './probe.js';
import { tryMetaGradient } from './trial.js';

async function probe({ name, measure, device: options }: ProbeRequest): Promise<Probe> {
  try {
    const backend = await openBackend(name, options);
    const { device, accelerated, version } = backend;
    const trial = measure ? { trial: await tryMetaGradient(backend) } : {};
    return { name, usable: true, device, accelerated, version, ...trial };
  } catch (error) {
    const reason = error instanceof BackendUnavailableError ? error.reason : firstLine(error);
    return { name, usable: false, reason };
  }
}

process.once('message', async (request) => {
  process.send?.(await probe(request as ProbeRequest));
});
