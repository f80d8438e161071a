import { AUTO } from '@whet/runtime/format';
import { useState } from 'preact/hooks';
import { t } from '../../messages/index.js';
import { decimal, inMilliseconds } from '../../messages/measures.js';
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

/** What adapting does, with the words of the field: which weights may move, losses, times, and comparisons. What the model says of itself is English. */
export function Engineers() {
  const words = t().engineers;
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
      <div class="inside">
        <p class="quiet" lang="en" dir="ltr">
          {manifest.description} ({manifest.name} {manifest.version}).
        </p>
        <div class="row">
          <label class="field grow">
            {words.pattern}
            <select value={pattern} onChange={(event) => setPattern(event.currentTarget.value)}>
              {names.map((name) => (
                <option key={name} value={name} translate={false}>
                  {name === preset ? words.preset(name) : name}
                </option>
              ))}
            </select>
          </label>
          <button type="button" disabled={missing.value !== undefined || running !== undefined} onClick={learnAgain}>
            {words.adaptAgain}
          </button>
        </div>
        {pattern === AUTO ? (
          <p class="quiet">{words.about}</p>
        ) : (
          <p class="quiet" lang="en" dir="ltr">
            {manifest.patterns[pattern]?.description}
          </p>
        )}
        <p class="quiet" role="status">
          {running?.isChoosing ? words.trying : running ? words.step(running.losses.length) : ''}
          {isOlder && learned !== key.value && words.isOlder}
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
  const words = t().engineers;
  const now = choice.value;
  const times = opened.value?.milliseconds;
  const predicted = query.value?.prediction?.milliseconds;
  if (!now) return null;
  return (
    <section class="runtime">
      <h3>{words.runtime}</h3>
      <label class="field inline">
        {words.computesOn}
        <select value={backend.value} onChange={(event) => setBackend(event.currentTarget.value as BackendSetting)}>
          <option value="auto">{words.faster}</option>
          <option value="wasm" translate={false}>
            {backends.wasm}
          </option>
          <option value="webgpu" translate={false} disabled={!('gpu' in navigator)}>
            {backends.webgpu}
          </option>
        </select>
      </label>
      <p class="quiet">
        {words.now(backends[now.backend])}
        {now.backend === 'wasm' && `, ${words.threads(now.threads)}`}
        {now.reason !== 'chosen' && <span lang="en"> ({now.reason})</span>}.
        {times && ` ${words.loadedIn(Math.round(times.load), Math.round(times.warmUp))}`}
        {predicted !== undefined && ` ${words.lastPrediction(inMilliseconds(predicted))}`}
        {frameMs.value > 0 && ` ${words.frames(decimal(1000 / frameMs.value))}`}
      </p>
    </section>
  );
}
