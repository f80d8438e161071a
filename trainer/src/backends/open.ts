import type { DeviceBackend, DeviceOptions } from './device-backend.js';
import { openOrtBackend } from './ort.js';
import { openTfjsBackend, tfjsNames } from './tfjs/open.js';

/** Backends on this machine's devices, as a user names them. */
export const backendNames = ['ort-cuda', 'ort-webgpu', 'ort-cpu', ...tfjsNames] as const;
export type BackendName = (typeof backendNames)[number];

/** What `auto` tries before the CPU, in this order. */
export const gpuBackends: readonly BackendName[] = ['ort-cuda', 'tfjs-node-gpu', 'ort-webgpu', 'tfjs-webgpu'];

const openers: Readonly<Record<BackendName, (options: DeviceOptions) => Promise<DeviceBackend>>> = {
  'ort-cuda': (options) => openOrtBackend('cuda', options),
  'ort-webgpu': (options) => openOrtBackend('webgpu', options),
  'ort-cpu': (options) => openOrtBackend('cpu', options),
  'tfjs-node-gpu': (options) => openTfjsBackend('tfjs-node-gpu', options),
  'tfjs-webgpu': (options) => openTfjsBackend('tfjs-webgpu', options),
  'tfjs-node': (options) => openTfjsBackend('tfjs-node', options),
  'tfjs-wasm': (options) => openTfjsBackend('tfjs-wasm', options),
  'tfjs-cpu': (options) => openTfjsBackend('tfjs-cpu', options),
};

/** A backend that was tried out. Throws `BackendUnavailableError` saying what is missing. */
export const openBackend = (name: BackendName, options: DeviceOptions = {}): Promise<DeviceBackend> =>
  openers[name](options);
