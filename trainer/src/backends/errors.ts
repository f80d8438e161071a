/** A backend that cannot run on this machine: the message says what is missing and what to install. */
export class BackendUnavailableError extends Error {
  override readonly name = 'BackendUnavailableError';

  constructor(
    readonly backend: string,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`backend "${backend}" cannot be used: ${reason}`, options);
  }
}

export type DeviceFailure = 'lost' | 'memory' | 'other';

const said: Readonly<Record<DeviceFailure, string>> = {
  lost: 'the device was lost',
  memory: 'the device is out of memory',
  other: 'the device failed',
};

/** A device that failed while a graph was compiled or ran. Nothing that ran on it can be relied on afterwards. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';

  constructor(
    readonly backend: string,
    readonly device: string,
    readonly failure: DeviceFailure,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(`${backend} on ${device}: ${said[failure]}: ${detail}`, options);
  }
}

/** What happened, judged by the words of drivers and runtimes, which give no codes. */
export function failureOf(detail: string): DeviceFailure {
  // A buffer is invalid where it could not be had; Dawn's validation says only that much.
  if (
    /out.of.memory|invalid buffer|bad_alloc|failed to allocate|allocation (size|failed)|exceeds the max buffer size/i.test(
      detail,
    )
  )
    return 'memory';
  return /\blost\b|destroyed|device removed|hung/i.test(detail) ? 'lost' : 'other';
}

/** The first line of what a native library said, without its source positions. */
export function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const lines = text.split('\n').map((line) => line.trim());
  return lines.find((line) => line !== '') ?? 'no reason given';
}

/** What to do where WebGPU finds no adapter. */
export const NO_ADAPTER =
  process.platform === 'linux'
    ? 'no GPU adapter was found; install libvulkan1 and the Vulkan driver of the GPU (`vulkaninfo --summary` lists it)'
    : 'no GPU adapter was found; update the driver of the GPU';
