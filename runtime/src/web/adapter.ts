/** What is used of WebGPU here; its whole types are the browser's. */
interface Gpu {
  requestAdapter(): Promise<GpuAdapter | null>;
}
interface GpuAdapter {
  readonly info?: { readonly vendor?: string; readonly architecture?: string; readonly description?: string };
  readonly isFallbackAdapter?: boolean;
}

/** An adapter as a person may be told of it; `software` where it computes on the CPU. */
export interface Adapter {
  readonly name: string;
  readonly software: boolean;
}

/** The GPU that a page would get, or undefined where there is none. */
export async function findAdapter(): Promise<Adapter | undefined> {
  const { gpu } = (globalThis.navigator ?? {}) as { gpu?: Gpu };
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (!adapter) return undefined;
  const { vendor = '', architecture = '', description = '' } = adapter.info ?? {};
  const name = [vendor, architecture, description].filter((part) => part !== '').join(' ') || 'a GPU';
  const isFallback = (adapter.info as { isFallbackAdapter?: boolean } | undefined)?.isFallbackAdapter;
  return { name, software: Boolean(isFallback ?? adapter.isFallbackAdapter) || /swiftshader|llvmpipe/i.test(name) };
}
