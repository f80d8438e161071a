import { type BackendChoice, findAdapter } from '@whet/runtime/web';
import { browserLanguage, speak, t } from '../messages/index.js';
import type { Opened } from '../workers/compute.js';
import { ComputeClient, LoaderClient, measureChoice } from './compute-client.js';
import { engine } from './engine.js';
import { openShared } from './files.js';
import { forgetHistory } from './history.js';
import { learnOnChange } from './learning.js';
import { predictOnChange, showPicture } from './looking.js';
import { readAbout } from './models.js';
import { isKept, isMetered, keepForLater } from './offline.js';
import { deviceSettings, openDeviceProfiles, showPeople } from './profiles.js';
import {
  type BackendSetting,
  backend,
  bundleName,
  bundles,
  choice,
  comparison,
  isAbort,
  looksColourful,
  messageOf,
  opened,
  phase,
  sayProblem,
  seesColours,
  source,
} from './signals.js';

/** Opens the device's profiles and the first bundle. Called once. */
export async function start(): Promise<void> {
  await openDeviceProfiles();
  await speak(((await deviceSettings.get('language')) as string | undefined) ?? browserLanguage());
  predictOnChange();
  learnOnChange();
  // A link that is opened where the page is already changes the fragment alone.
  addEventListener('hashchange', () => phase.value.kind === 'ready' && openShared(openBundle));
  backend.value = ((await deviceSettings.get('backend')) as BackendSetting | undefined) ?? 'auto';
  await openFirst();
}

/** Starts the worker that fetches, and opens the bundle that was open last. */
async function openFirst(): Promise<void> {
  try {
    engine.loader?.close();
    const loader = new LoaderClient();
    engine.loader = loader;
    bundles.value = await loader.call((remote) => remote.bundles());
    void readAbout(loader, bundles.value);
    const wanted = (await deviceSettings.get('bundle')) as string | undefined;
    const name = wanted !== undefined && bundles.value.includes(wanted) ? wanted : bundles.value[0];
    if (name === undefined) throw new Error('expected a bundle beside the page, got none');
    bundleName.value = name;
    // Megabytes are not fetched on somebody's bill without a question.
    if (isMetered() && !(await isKept(name))) phase.value = { kind: 'asking' };
    else await openBundle(name);
  } catch (cause) {
    phase.value = { kind: 'failed', message: messageOf(cause) };
  }
}

/** Shows another language, and keeps which. */
export async function setLanguage(code: string): Promise<void> {
  await speak(code);
  await deviceSettings.set('language', code);
}

/** Which backend to open with: what was chosen, or what was measured before, or WebAssembly. */
async function backendFor(name: string): Promise<'wasm' | 'webgpu'> {
  if (backend.value !== 'auto') return backend.value;
  const measured = (await deviceSettings.get(`measured ${name}`)) as BackendChoice | undefined;
  return measured?.backend ?? 'wasm';
}

/** `?threads=1` in the address: so many threads. */
function wantedThreads(): number | 'auto' {
  const threads = Number(new URLSearchParams(location.search).get('threads'));
  return Number.isInteger(threads) && threads > 0 ? threads : 'auto';
}

async function openWith(name: string, taken: 'wasm' | 'webgpu'): Promise<Opened> {
  engine.client?.close();
  const client = new ComputeClient(
    engine.loader as LoaderClient,
    { bundle: name, backend: taken, threads: wantedThreads() },
    {
      onProgress: ({ loaded, total }) => {
        if (phase.value.kind === 'loading') phase.value = { kind: 'loading', loaded, total };
      },
      onLost: (reason) => {
        choice.value = { backend: 'wasm', threads: 1, reason: `WebGPU was lost: ${reason}` };
        sayProblem(t().engineers.gpuLost, reason);
      },
    },
  );
  engine.client = client;
  return client.open();
}

export async function openBundle(name: string): Promise<void> {
  phase.value = { kind: 'loading', loaded: 0, total: 0 };
  bundleName.value = name;
  comparison.value = undefined;
  looksColourful.value = false;
  forgetHistory();
  void showPicture();
  try {
    const wanted = await backendFor(name);
    let now: Opened;
    try {
      now = await openWith(name, wanted);
    } catch (cause) {
      if (wanted === 'wasm') throw cause;
      now = await openWith(name, 'wasm');
      sayProblem(t().engineers.gpuFails, cause);
    }
    [opened.value, choice.value] = [now, now.choice];
    await deviceSettings.set('bundle', name);
    source.value = seesColours.value ? 'camera' : 'draw';
    await showPeople(now);
    phase.value = { kind: 'ready' };
    await openShared(openBundle);
    void keepForLater();
    if (backend.value === 'auto') measureLater(name);
  } catch (cause) {
    if (!isAbort(cause)) phase.value = { kind: 'failed', message: messageOf(cause) };
  }
}

/** Tries what failed again, with a new worker that fetches, and without what caches hold of the bundle. */
export async function retry(): Promise<void> {
  const name = bundleName.value;
  phase.value = { kind: 'loading', loaded: 0, total: 0 };
  if (name === '') return openFirst();
  try {
    engine.loader?.close();
    engine.loader = new LoaderClient();
    await engine.loader.call((remote) => remote.forget(name));
  } catch (cause) {
    phase.value = { kind: 'failed', message: messageOf(cause) };
    return;
  }
  await openBundle(name);
}

/** Once per device and bundle, when the page is idle: which backend is faster. It counts from the next visit on. */
async function measureLater(name: string): Promise<void> {
  if (!('gpu' in navigator) || isMetered() || (await deviceSettings.get(`measured ${name}`)) !== undefined) return;
  const idle = globalThis.requestIdleCallback ?? ((work: () => void) => setTimeout(work, 3000));
  idle(async () => {
    try {
      const adapter = await findAdapter();
      // Without a real GPU there is nothing to measure, and nothing to download for it.
      if (!adapter || adapter.software) return;
      const measured = await measureChoice(engine.loader as LoaderClient, name, deviceSettings);
      await deviceSettings.set(`measured ${name}`, measured);
      if (choice.value?.backend === measured.backend) choice.value = measured;
    } catch (cause) {
      await deviceSettings.set(`measured ${name}`, { backend: 'wasm', threads: 1, reason: messageOf(cause) });
    }
  });
}

export async function setBackend(wanted: BackendSetting): Promise<void> {
  backend.value = wanted;
  await deviceSettings.set('backend', wanted);
  await openBundle(bundleName.value);
}
