import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { DeviceBackend, DeviceOptions } from './device-backend.js';
import { BackendUnavailableError } from './errors.js';
import { type BackendName, gpuBackends, openBackend } from './open.js';
import type { Trial } from './trial.js';

/** Whether a backend can be used on this machine. */
export type Probe = { readonly name: BackendName } & (
  | {
      readonly usable: true;
      readonly device: string;
      /** A GPU in hardware. */
      readonly accelerated: boolean;
      readonly version: string;
      readonly trial?: Trial;
    }
  | {
      readonly usable: false;
      /** A sentence: what is missing, or how its native library ended the process. */
      readonly reason: string;
    }
);

export interface ProbeOptions extends DeviceOptions {
  /** Also time a meta-gradient and compare it with the reference. */
  readonly measure?: boolean;
  /** Milliseconds until the backend counts as hung; two minutes when absent. */
  readonly timeout?: number;
  /** The program of the child process; only tests name another. */
  readonly program?: string;
}

/** What the child process is asked. */
export interface ProbeRequest {
  readonly name: BackendName;
  readonly measure: boolean;
  readonly device: DeviceOptions;
}

const PROGRAM = fileURLToPath(new URL('./probe-process.js', import.meta.url));

/** Tries a backend in a process of its own, because a driver may end the process it is loaded into. */
export function probeBackend(name: BackendName, options: ProbeOptions = {}): Promise<Probe> {
  const { measure = false, timeout = 120_000, program = PROGRAM, ...device } = options;
  const child = fork(program, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  return new Promise((resolve) => {
    let said = '';
    let answer: Probe | undefined;
    const timer = setTimeout(() => {
      answer = { name, usable: false, reason: `it did not answer within ${timeout / 1000} s` };
      child.kill('SIGKILL');
    }, timeout);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-4000);
    });
    child.on('message', (message) => {
      answer ??= message as Probe;
      child.kill('SIGKILL');
    });
    child.on('error', (error) => {
      answer ??= { name, usable: false, reason: `its process cannot be started: ${error.message}` };
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve(answer ?? { name, usable: false, reason: crashText(code, signal, said) });
    });
    child.send({ name, measure, device } satisfies ProbeRequest, () => undefined);
  });
}

function crashText(code: number | null, signal: NodeJS.Signals | null, said: string): string {
  const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
  const last = said.trim().split('\n').at(-1)?.trim();
  return `its native library crashed: the process ${how}${last ? `, after "${last}"` : ''}; update the driver`;
}

/** A backend that was not taken, and why. */
export interface PassedOver {
  readonly name: BackendName;
  readonly reason: string;
}

export interface Choice {
  readonly backend: DeviceBackend;
  readonly passedOver: readonly PassedOver[];
}

/**
 * Where the first of `gpuBackends` goes that has a GPU in hardware; else onnxruntime on the CPU. Throws
 * {@link BackendUnavailableError} where a device was named and none of them has it. `workers` are of the CPU.
 */
export async function chooseBackend(options: DeviceOptions = {}): Promise<Choice> {
  const { workers: _, ...device } = options;
  const probes = await Promise.all(gpuBackends.map((name) => probeBackend(name, device)));
  const passedOver: PassedOver[] = [];
  for (const probe of probes) {
    const { name } = probe;
    if (!probe.usable) passedOver.push({ name, reason: probe.reason });
    else if (!probe.accelerated) passedOver.push({ name, reason: `${probe.device} is slower than the CPU` });
    else {
      try {
        return { backend: await openBackend(name, device), passedOver };
      } catch (error) {
        if (!(error instanceof BackendUnavailableError)) throw error;
        passedOver.push({ name, reason: error.reason });
      }
    }
  }
  if (options.device) {
    const reasons = passedOver.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
    throw new BackendUnavailableError('auto', `no GPU is "${options.device}": ${reasons}`);
  }
  return { backend: await openBackend('ort-cpu', options), passedOver };
}
