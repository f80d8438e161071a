/** What is used of the npm package `webgpu`, which is Dawn, Chromium's WebGPU, for Node.js. */
export interface DawnModule {
  /** `options`: Dawn's own, such as `adapter=NAME`. */
  create(options: string[]): Gpu;
  /** `GPUBufferUsage` and its like, which code for browsers expects to be global. */
  readonly globals: object;
}

interface Gpu {
  requestAdapter(options: { powerPreference: string }): Promise<Adapter | null>;
}

interface AdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly isFallbackAdapter?: boolean;
}

interface Adapter {
  readonly info: AdapterInfo;
  readonly features: ReadonlySet<string>;
  readonly limits: Readonly<Record<string, number>>;
  requestDevice(descriptor: object): Promise<Device>;
}

interface ErrorEvent {
  readonly error: { readonly message: string };
  preventDefault?(): void;
}

export interface Device {
  readonly lost: Promise<{ readonly reason: string; readonly message: string }>;
  addEventListener(type: 'uncapturederror', listener: (event: ErrorEvent) => void): void;
  destroy(): void;
}

export interface OpenedDevice {
  readonly device: Device;
  readonly info: AdapterInfo;
  /** For people: `NVIDIA L4`. */
  readonly text: string;
  readonly software: boolean;
  /** What went wrong since: a shader goes on without a word when memory or the device itself is gone. */
  readonly failure: () => string | undefined;
}

/** What TensorFlow.js's shaders need more of than WebGPU promises everywhere. */
const LIMITS = [
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
];

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render/i;

/**
 * A device of Dawn's adapter for high performance, or of the one whose name holds `name`. Undefined where there is no
 * adapter; throws naming the adapters there are where none has the name.
 */
export async function openDawn(dawn: DawnModule, name?: string): Promise<OpenedDevice | undefined> {
  Object.assign(globalThis, dawn.globals);
  const gpu = instanceOf(dawn, name);
  const adapter = await requestAdapter(gpu, name);
  if (!adapter) return undefined;
  const { info, limits } = adapter;
  const device = await adapter.requestDevice({
    requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, limits[limit]])),
  });
  let failure: string | undefined;
  device.lost.then(({ reason, message }) => {
    failure ??= `device lost (${reason}): ${message}`;
  });
  device.addEventListener('uncapturederror', (event) => {
    // Dawn prints what nobody prevents.
    event.preventDefault?.();
    failure ??= event.error.message;
  });
  shimNavigator(gpu);
  const described = info.description || [info.vendor, info.architecture, info.device].filter(Boolean).join(' ');
  const software = info.isFallbackAdapter === true || SOFTWARE.test(`${info.architecture} ${described}`);
  const text = software ? `${described}, a GPU in software` : described;
  return { device, info, text, software, failure: () => failure };
}

/** Instances are kept: one that is collected before its devices takes the process with it. */
const instances = new WeakMap<DawnModule, Map<string, Gpu>>();

function instanceOf(dawn: DawnModule, name = ''): Gpu {
  const made = instances.get(dawn) ?? new Map<string, Gpu>();
  instances.set(dawn, made);
  const gpu = made.get(name) ?? dawn.create(name ? [`adapter=${name}`] : []);
  made.set(name, gpu);
  return gpu;
}

/** Dawn throws where no adapter has the name that was asked for, and lists those there are. */
async function requestAdapter(gpu: Gpu, name: string | undefined): Promise<Adapter | null> {
  try {
    return await gpu.requestAdapter({ powerPreference: 'high-performance' });
  } catch (cause) {
    if (!name) throw cause;
    const names = Array.from((cause as Error).message.matchAll(/name: '([^']*)'/g), ([, each]) => `"${each}"`);
    const there = names.length > 0 ? names.join(', ') : 'none at all';
    throw new Error(`expected a part of an adapter's name, got "${name}"; there is ${there}`, { cause });
  }
}

/** TensorFlow.js looks for `navigator.gpu` before it believes that there is WebGPU; Node.js has none. */
function shimNavigator(gpu: object): void {
  const navigator = (globalThis as { navigator?: object }).navigator ?? {};
  if (!('gpu' in navigator)) Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true });
  if (!('navigator' in globalThis)) {
    Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  }
}
