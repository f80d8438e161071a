import { signal } from '@preact/signals';
import { setBackend } from '../state/opening.js';
import { type BackendSetting, backend, choice, isOffline, opened, phase } from '../state/signals.js';

interface InstallEvent extends Event {
  prompt(): Promise<unknown>;
}

const install = signal<InstallEvent | undefined>(undefined);
addEventListener('beforeinstallprompt', (event) => {
  event.preventDefault();
  install.value = event as InstallEvent;
});

const backends: Readonly<Record<'wasm' | 'webgpu', string>> = { wasm: 'WebAssembly', webgpu: 'WebGPU' };

/** What happens with pictures, what computes, and how to have the page at hand. */
export function About() {
  const now = choice.value;
  const times = opened.value?.milliseconds;
  return (
    <details class="about">
      <summary>Privacy and technology</summary>
      <p>
        <strong>Pictures never leave this device.</strong> They are kept in this browser, and nowhere else. The page and
        the worker that computes can neither fetch nor open sockets, and load no images from an address: their content
        security policy says <code>connect-src 'none'</code>, and the browser enforces it. A second worker fetches the
        model's files and is never given a picture.
      </p>
      <p>
        Adapting is real training: gradients are compiled into ONNX graphs, which ONNX Runtime runs here. What does not
        move is computed once for each picture. An exported profile holds what was learned and the names of the classes,
        no pictures; any Whet service or program with the same model takes it.
      </p>
      {now && phase.value.kind === 'ready' && (
        <>
          <label class="field inline">
            Computes on
            <select value={backend.value} onChange={(event) => setBackend(event.currentTarget.value as BackendSetting)}>
              <option value="auto">what is faster here</option>
              <option value="wasm">WebAssembly</option>
              <option value="webgpu" disabled={!('gpu' in navigator)}>
                WebGPU
              </option>
            </select>
          </label>
          <p class="quiet">
            Now {backends[now.backend]}
            {now.backend === 'wasm' && `, ${now.threads} ${now.threads === 1 ? 'thread' : 'threads'}`}
            {now.reason !== 'chosen' && ` (${now.reason})`}.
            {times && ` Loaded in ${Math.round(times.load)} ms, warm after ${Math.round(times.warmUp)} ms more.`}
          </p>
        </>
      )}
      {isOffline.value && <p class="quiet">All that this model needs is kept here: it works without a network.</p>}
      {!isSecureContext && (
        <p>
          This page came over plain HTTP: browsers give such pages neither a camera nor a way to work without a network,
          and no threads. HTTPS does.
        </p>
      )}
      {install.value && (
        <button
          type="button"
          onClick={async () => {
            await install.value?.prompt();
            install.value = undefined;
          }}
        >
          Install as an app
        </button>
      )}
    </details>
  );
}
