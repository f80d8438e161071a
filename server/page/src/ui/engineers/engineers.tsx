import { AUTO } from '@whet/runtime/format';
import { useState } from 'preact/hooks';
import { t } from '../../messages/index.js';
import { frameMs } from '../../state/camera.js';
import { adaptations, learnAgain } from '../../state/learning.js';
import { setBackend } from '../../state/opening.js';
import { patternChoices } from '../../state/patterns.js';
import { setPattern } from '../../state/profiles.js';
import {
  adapting,
  type BackendSetting,
  backend,
  choice,
  key,
  missing,
  opened,
  person,
  query,
} from '../../state/signals.js';
import { Compare } from './compare.js';
import { LossChart } from './loss-chart.js';
import { AdaptOutcome } from './outcome.js';
import { AdaptTimes } from './times.js';

const ABOUT_AUTO = 'Your examples choose: what they gain by moving, or nothing where no steps help.';

/** What adapting does, with the words of the field: which weights may move, losses, times, and comparisons. In English in all languages. */
export function Engineers() {
  const { manifest } = opened.value ?? {};
  const now = person.value;
  const [isOpen, setOpen] = useState(false);
  if (!manifest || !now) return null;
  const { pattern, last, learned, isOlder } = now.extra;
  const { names, preset } = patternChoices(manifest);
  const running = adapting.value?.id === now.id ? adapting.value : undefined;
  const losses = running && running.losses.length > 0 ? running.losses : last?.losses;
  return (
    <details
      class="card engineers"
      data-adapted={last?.auto ? AUTO : last?.pattern}
      data-count={adaptations.value}
      onToggle={(event) => setOpen(event.currentTarget.open)}
    >
      <summary>
        <h2>{t().forEngineers}</h2>
      </summary>
      <div lang="en" dir="ltr" class="inside">
        <p class="quiet">
          {manifest.description} ({manifest.name} {manifest.version}).
        </p>
        <div class="row">
          <label class="field grow">
            Pattern: what may move
            <select value={pattern} onChange={(event) => setPattern(event.currentTarget.value)}>
              {names.map((name) => (
                <option key={name} value={name}>
                  {name}
                  {name === preset ? ' (default)' : ''}
                </option>
              ))}
            </select>
          </label>
          <button type="button" disabled={missing.value !== undefined || running !== undefined} onClick={learnAgain}>
            Adapt again
          </button>
        </div>
        <p class="quiet">{pattern === AUTO ? ABOUT_AUTO : manifest.patterns[pattern]?.description}</p>
        <p class="quiet" role="status">
          {running?.isChoosing ? 'Trying patterns' : running ? `Step ${running.losses.length}` : ''}
          {isOlder && learned !== key.value && 'The model is newer than what this profile learned.'}
        </p>
        {last && <AdaptOutcome last={last} />}
        {isOpen && losses && losses.length > 0 && <LossChart losses={losses} />}
        {last && <AdaptTimes last={last} bytes={now.bytes?.byteLength ?? 0} />}
        <Compare />
        <Runtime />
      </div>
    </details>
  );
}

const backends: Readonly<Record<'wasm' | 'webgpu', string>> = { wasm: 'WebAssembly', webgpu: 'WebGPU' };

/** What computes, and how fast. */
function Runtime() {
  const now = choice.value;
  const times = opened.value?.milliseconds;
  const predicted = query.value?.prediction?.milliseconds;
  if (!now) return null;
  return (
    <section class="runtime">
      <h3>Runtime</h3>
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
        {predicted !== undefined && ` Last prediction ${predicted.toFixed(1)} ms.`}
        {frameMs.value > 0 && ` Camera ${(1000 / frameMs.value).toFixed(1)} frames a second.`}
      </p>
    </section>
  );
}
