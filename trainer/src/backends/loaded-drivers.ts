import { existsSync, readdirSync } from 'node:fs';

const VULKAN = /(?:libvulkan_|libGLX_|libvk_|vulkan_|nvoglv|amdvlk|igvk)[^/\\]*$/i;
const SOFTWARE = /swiftshader|lvp|llvmpipe|lavapipe/i;
const LABELS: readonly (readonly [RegExp, string])[] = [
  [/swiftshader/i, 'SwiftShader'],
  [SOFTWARE, 'llvmpipe'],
  [/nvidia|nvoglv/i, 'NVIDIA'],
  [/radeon|amdvlk/i, 'AMD'],
  [/intel|igvk/i, 'Intel'],
];

/** Whether Linux shows a GPU's device file: of the kernel's drivers, NVIDIA's, or WSL's. */
function hasGpuDevice(): boolean {
  if (process.platform !== 'linux') return true;
  const listed = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);
  return (
    listed('/dev').some((name) => /^(nvidia\d+|dxg)$/.test(name)) ||
    listed('/dev/dri').some((name) => name.startsWith('render'))
  );
}

export interface LoadedDrivers {
  /** For people: `SwiftShader, a GPU in software`; empty where no driver was recognized. */
  readonly text: string;
  /** Whether all that was recognized computes on the CPU. */
  readonly software: boolean;
}

/**
 * What the Vulkan drivers among the files of shared libraries say about the device they drive. Drivers of hardware are
 * loaded where they are installed, also on a machine that has no GPU, and count only where it has one.
 */
export function driversAmong(files: readonly string[], hasGpu: boolean): LoadedDrivers {
  const drivers = files.filter((file) => VULKAN.test(file) && !/libvulkan\.so/.test(file));
  const hardware = hasGpu ? drivers.filter((file) => !SOFTWARE.test(file)) : [];
  const software = drivers.length > 0 && hardware.length === 0;
  const names = (software ? drivers.filter((file) => SOFTWARE.test(file)) : hardware).map(
    (file) => LABELS.find(([pattern]) => pattern.test(file))?.[1],
  );
  const text = [...new Set(names.filter((name) => name !== undefined))].join(', ');
  return { text: software ? `${text}, a GPU in software` : text, software };
}

/**
 * The Vulkan drivers that this process has loaded. A provider that does not say which adapter it took, as
 * onnxruntime's, is told by the driver it pulled in. Empty on Windows and macOS, where drivers are not Vulkan's.
 */
export function loadedDrivers(): LoadedDrivers {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  const kept = report.excludeNetwork;
  // Otherwise the report looks up the names of all network addresses.
  report.excludeNetwork = true;
  try {
    const { sharedObjects } = report.getReport() as { sharedObjects?: string[] };
    return driversAmong(sharedObjects ?? [], hasGpuDevice());
  } finally {
    report.excludeNetwork = kept ?? false;
  }
}
