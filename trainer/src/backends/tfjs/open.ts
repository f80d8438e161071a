import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DeviceBackend, type DeviceOptions, refuseWorkers, reportingFailures } from '../device-backend.js';
import { BackendUnavailableError, firstLine, NO_ADAPTER } from '../errors.js';
import { cpuText } from '../ort.js';
import { type DawnModule, openDawn } from './dawn.js';
import { tfjsBackend } from './interpret.js';
import type { Tf } from './rule.js';

/** From the fastest down: what `tfjs` by itself tries in this order. */
export const tfjsNames = ['tfjs-node-gpu', 'tfjs-webgpu', 'tfjs-node', 'tfjs-wasm', 'tfjs-cpu'] as const;
export type TfjsName = (typeof tfjsNames)[number];

/** Loads a package by its name; only tests pass another one than the default. */
export type Importer = (specifier: string) => Promise<unknown>;

const importPackage: Importer = (specifier) => import(specifier);

type Opener = (name: TfjsName, options: DeviceOptions, importer: Importer) => Promise<DeviceBackend>;

/**
 * A TensorFlow.js backend, initialized: the one named, or for `tfjs` the first of {@link tfjsNames} that works.
 * Throws {@link BackendUnavailableError} saying what to install. TensorFlow.js is put into its production mode.
 */
export async function openTfjsBackend(
  name: TfjsName | 'tfjs',
  options: DeviceOptions = {},
  importer: Importer = importPackage,
): Promise<DeviceBackend> {
  refuseWorkers(name, options);
  if (name !== 'tfjs') return openers[name](name, options, importer);
  const reasons: string[] = [];
  for (const each of tfjsNames) {
    try {
      return await openers[each](each, options, importer);
    } catch (error) {
      if (!(error instanceof BackendUnavailableError)) throw error;
      reasons.push(`${each}: ${error.reason}`);
    }
  }
  throw new BackendUnavailableError(name, `none of TensorFlow.js's backends works: ${reasons.join('; ')}`);
}

/** CommonJS packages come under `default`. Throws where a package is missing or cannot be loaded. */
async function load<T>(backend: string, importer: Importer, specifier: string): Promise<T> {
  try {
    const found = (await importer(specifier)) as { default?: T };
    return found.default ?? (found as T);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const absent = /MODULE_NOT_FOUND/.test(code ?? '') && message.includes(specifier);
    const reason = absent
      ? `the package ${specifier} is not installed: \`npm install ${specifier}\``
      : `the package ${specifier} cannot be loaded: ${firstLine(cause)}`;
    throw new BackendUnavailableError(backend, reason, { cause });
  }
}

async function initialize(name: TfjsName, tf: Tf, registeredAs: string): Promise<void> {
  tf.enableProdMode();
  try {
    if (await tf.setBackend(registeredAs)) return;
  } catch (cause) {
    throw new BackendUnavailableError(name, firstLine(cause), { cause });
  }
  throw new BackendUnavailableError(name, `TensorFlow.js cannot initialize its backend "${registeredAs}"`);
}

const versionOf = ({ version_core }: Tf): string => `TensorFlow.js ${version_core}`;

function refuseDevice(name: TfjsName, { device }: DeviceOptions): void {
  if (device) throw new BackendUnavailableError(name, `it has no devices to choose from, so not "${device}" either`);
}

/** TensorFlow's C library, on the CPU or on CUDA. */
const openNode: Opener = async (name, options, importer) => {
  refuseDevice(name, options);
  const gpu = name === 'tfjs-node-gpu';
  const tf = await load<Tf>(name, importer, gpu ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node');
  await initialize(name, tf, 'tensorflow');
  // TensorFlow goes on without a word on the CPU where it does not find CUDA.
  const { isUsingGpuDevice } = tf.backend() as unknown as { isUsingGpuDevice?: boolean };
  if (gpu && !isUsingGpuDevice) {
    throw new BackendUnavailableError(
      name,
      'TensorFlow finds no GPU: install an NVIDIA driver, CUDA 11.2 and cuDNN 8.1, with their folders in LD_LIBRARY_PATH',
    );
  }
  const backend = tfjsBackend(name, gpu ? 'CUDA, by TensorFlow' : `${cpuText()}, by TensorFlow`, {
    tf,
    registeredAs: 'tensorflow',
  });
  return reportingFailures({ ...backend, accelerated: gpu, version: versionOf(tf) });
};

interface WebGpuModule {
  readonly WebGPUBackend: new (device: unknown, info: unknown) => ReturnType<Tf['backend']>;
}

const openWebGpu: Opener = async (name, { device: wanted }, importer) => {
  const tf = await load<Tf>(name, importer, '@tensorflow/tfjs-core');
  const dawn = await load<DawnModule>(name, importer, 'webgpu');
  const opened = await openDawn(dawn, wanted).catch((cause: unknown) => {
    throw new BackendUnavailableError(name, firstLine(cause), { cause });
  });
  if (!opened) throw new BackendUnavailableError(name, NO_ADAPTER);
  const { device, info, text, software, failure } = opened;
  const { WebGPUBackend } = await load<WebGpuModule>(name, importer, '@tensorflow/tfjs-backend-webgpu');
  // Every opened device is a backend of its own, with the same kernels.
  let count = 1;
  while (tf.findBackendFactory(`webgpu-${count}`)) count++;
  const registeredAs = `webgpu-${count}`;
  tf.copyRegisteredKernels('webgpu', registeredAs);
  tf.registerBackend(registeredAs, () => new WebGPUBackend(device, info));
  await initialize(name, tf, registeredAs);
  const backend = tfjsBackend(name, `WebGPU (${text})`, { tf, registeredAs, failure });
  return reportingFailures({ ...backend, accelerated: !software, version: versionOf(tf) });
};

interface WasmModule {
  setWasmPaths(folder: string): void;
}

const openWasm: Opener = async (name, options, importer) => {
  refuseDevice(name, options);
  const tf = await load<Tf>(name, importer, '@tensorflow/tfjs-core');
  const wasm = await load<WasmModule>(name, importer, '@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(join(dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm'))), sep));
  await initialize(name, tf, 'wasm');
  const backend = tfjsBackend(name, `${cpuText(1)}, in WebAssembly`, { tf, registeredAs: 'wasm' });
  return reportingFailures({ ...backend, accelerated: false, version: versionOf(tf) });
};

const openCpu: Opener = async (name, options, importer) => {
  refuseDevice(name, options);
  const tf = await load<Tf>(name, importer, '@tensorflow/tfjs-core');
  await load(name, importer, '@tensorflow/tfjs-backend-cpu');
  await initialize(name, tf, 'cpu');
  const backend = tfjsBackend(name, `${cpuText(1)}, in JavaScript`, { tf, registeredAs: 'cpu' });
  return reportingFailures({ ...backend, accelerated: false, version: versionOf(tf) });
};

const openers: Readonly<Record<TfjsName, Opener>> = {
  'tfjs-node-gpu': openNode,
  'tfjs-webgpu': openWebGpu,
  'tfjs-node': openNode,
  'tfjs-wasm': openWasm,
  'tfjs-cpu': openCpu,
};
