import { existsSync, readdirSync } from 'node:fs';
import { BackendUnavailableError, type DeviceBackend, openOrtBackend, openTfjsBackend } from '@whet/trainer';

/** Where Chromium's packages put SwiftShader, a Vulkan driver in software. */
const SWIFTSHADER = ['/usr/lib/chromium/vk_swiftshader_icd.json', '/opt/google/chrome/vk_swiftshader_icd.json'];

function hasGpu(): boolean {
  return existsSync('/dev/dri') && readdirSync('/dev/dri').some((name) => name.startsWith('renderD'));
}

/**
 * Lets WebGPU run on a machine without a GPU. Has to be called before the process asks for the first adapter. A driver
 * that was named already, and a GPU that is there, are left alone.
 */
export function useSoftwareGpu(): void {
  if (process.platform !== 'linux' || hasGpu() || existsSync('/dev/nvidia0')) return;
  if (process.env['VK_ICD_FILENAMES'] || process.env['VK_DRIVER_FILES']) return;
  const driver = SWIFTSHADER.find((path) => existsSync(path));
  if (driver) process.env['VK_ICD_FILENAMES'] = driver;
}

/** A backend, or why this machine has none: what a skipped test says in its title. */
export type Found = { readonly name: string } & ({ readonly backend: DeviceBackend } | { readonly missing: string });

const openers = {
  'ort-cpu': () => openOrtBackend('cpu', { threads: 1 }),
  'ort-webgpu': () => openOrtBackend('webgpu'),
  'tfjs-cpu': () => openTfjsBackend('tfjs-cpu'),
  'tfjs-wasm': () => openTfjsBackend('tfjs-wasm'),
  'tfjs-webgpu': () => openTfjsBackend('tfjs-webgpu'),
} satisfies Record<string, () => Promise<DeviceBackend>>;
type BackendName = keyof typeof openers;

/** Every backend that tests compare, or some; WebGPU in software where the machine has no GPU. */
export async function findBackends(
  names: readonly BackendName[] = Object.keys(openers) as BackendName[],
): Promise<Found[]> {
  useSoftwareGpu();
  const found: Found[] = [];
  for (const name of names) found.push(await find(name, openers[name]));
  return found;
}

async function find(name: string, open: () => Promise<DeviceBackend>): Promise<Found> {
  try {
    return { name, backend: await open() };
  } catch (error) {
    if (error instanceof BackendUnavailableError) return { name, missing: error.reason };
    throw error;
  }
}
