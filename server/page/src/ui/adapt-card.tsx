import { AUTO } from '@whet/runtime/format';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { adapt, cancel } from '../state/computing.js';
import { densest, type LastAdaptation, type Person, patternChoices, picturesOf } from '../state/model.js';
import { setPattern } from '../state/profiles.js';
import { type Adapting, adapting, classes, comparing, missing, opened, people, person } from '../state/signals.js';
import { AdaptOutcome } from './adapt-outcome.js';
import { LossChart } from './loss-chart.js';

/** ms in which *Cancel*, which takes the place of *Adapt*, does nothing yet: it may be the second half of a double click. */
const DOUBLE_CLICK_MS = 400;

const milliseconds = (value: number) => `${value < 100 ? value.toFixed(1) : Math.round(value)} ms`;
const bytes = (value: number) => (value < 1000 ? `${value} B` : `${(value / 1000).toFixed(1)} kB`);

const ABOUT_AUTO = 'Your examples choose: what they gain by moving, or nothing where no steps help.';

/** The inner loop: which pattern, go, and what came of it. */
export function AdaptCard() {
  const id = useId();
  const { manifest } = opened.value ?? {};
  const now = person.value;
  const running = adapting.value;
  const go = useRef<HTMLButtonElement>(null);
  const end = useRef<HTMLButtonElement>(null);
  const [canCancel, setCanCancel] = useState(false);
  const isRunning = running !== undefined;
  const wasRunning = useRef(false);
  useEffect(() => {
    // One button takes the place of the other, and the focus with it.
    if (isRunning !== wasRunning.current && document.activeElement === document.body)
      (isRunning ? end : go).current?.focus();
    wasRunning.current = isRunning;
    if (!isRunning) return;
    const timer = setTimeout(() => setCanCancel(true), DOUBLE_CLICK_MS);
    return () => {
      clearTimeout(timer);
      setCanCancel(false);
    };
  }, [isRunning]);
  if (!manifest || !now) return null;
  const isOwn = running?.id === now.id;
  const { pattern, last, stale, isOlder } = now.extra;
  const reason = missing.value;
  const most = densest(manifest);
  const all = manifest.patterns[most]?.graphs.encode ? `the weights of "${most}"` : 'everything';
  const { names, preset } = patternChoices(manifest);
  const described = pattern === AUTO ? ABOUT_AUTO : manifest.patterns[pattern]?.description;
  return (
    <section class="card adapt" aria-labelledby={id}>
      <h2 id={id}>Adapt</h2>
      <div class="row">
        <label class="field grow">
          Pattern: what may move
          <select
            value={pattern}
            disabled={running !== undefined}
            onChange={(event) => setPattern(event.currentTarget.value)}
          >
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
                {name === preset ? ' (default)' : ''}
              </option>
            ))}
          </select>
        </label>
        {running ? (
          <button
            key="cancel"
            ref={end}
            type="button"
            class="danger filled"
            aria-disabled={!canCancel}
            onClick={() => canCancel && cancel()}
          >
            Cancel
          </button>
        ) : (
          <button
            key="adapt"
            ref={go}
            type="button"
            class="primary big"
            disabled={reason !== undefined || comparing.value}
            aria-describedby={`${id}-reason`}
            onClick={adapt}
          >
            {stale && (now.bytes || isOlder) ? 'Adapt again' : 'Adapt'}
          </button>
        )}
      </div>
      {described && <p class="quiet">{described}</p>}
      <p id={`${id}-reason`} class="hint" role="status">
        {running ? stepOf(running) : (reason ?? hintOf(now))}
      </p>
      {isOwn && running && <LossChart losses={running.losses} steps={running.steps ?? running.step} />}
      {!isOwn && last && <AdaptOutcome last={last} />}
      {!isOwn && last && last.losses.length > 0 && <LossChart losses={last.losses} steps={last.losses.length} />}
      {!isOwn && last && (
        <dl class="figures" data-milliseconds={last.total}>
          <div>
            <dt>Adapted in</dt>
            <dd>{milliseconds(last.total)}</dd>
            <dd class="quiet">
              {last.encoded > 0 && `${milliseconds(last.encode)} to encode ${last.encoded} examples, `}
              {milliseconds(last.steps)} {stepsTaken(last)}
              {last.encoded < last.examples && `; ${last.examples - last.encoded} examples were encoded before`}
            </dd>
          </div>
          {last.pattern !== most && (
            <div>
              <dt>Speed-up</dt>
              <dd>{last.dense === undefined ? '…' : `${(last.dense / last.total).toFixed(1)}×`}</dd>
              <dd class="quiet">
                {last.dense === undefined
                  ? `measuring what moving ${all} takes here`
                  : `over moving ${all}, ${milliseconds(last.dense)} here`}
              </dd>
            </div>
          )}
          <div>
            <dt>Kept</dt>
            <dd>{bytes(now.bytes?.byteLength ?? 0)}</dd>
            <dd class="quiet">on this device, by pattern {last.pattern}</dd>
          </div>
        </dl>
      )}
    </section>
  );
}

/** What took the time beside encoding. */
function stepsTaken({ auto, losses }: LastAdaptation): string {
  if (auto) return `to try patterns and take ${losses.length} steps`;
  return losses.length > 0 ? `for ${losses.length} steps` : 'for the head';
}

function stepOf({ id, step, steps }: Adapting): string {
  const other = id === person.value?.id ? undefined : people.value.find((one) => one.id === id);
  const total = steps === undefined ? '' : ` of ${steps}`;
  const doing = steps === undefined && step === 0 ? 'Trying patterns' : `Step ${step}${total}`;
  return other ? `Adapting "${other.name}": ${doing.toLowerCase()}` : doing;
}

function hintOf({ bytes, extra: { stale, isOlder } }: Person): string {
  if (isOlder) return 'The model is newer than what this profile learned: adapt again.';
  if (bytes) return stale ? 'Classes changed since it was adapted: adapt again to use them.' : '';
  return `Ready: ${picturesOf(classes.value)} examples of ${classes.value.length} classes.`;
}

/** On a narrow screen, the way to adapt while the card is out of sight. */
export function AdaptBar() {
  const now = person.value;
  const isDue = now && (now.extra.stale || !now.bytes) && missing.value === undefined;
  if (!isDue || adapting.value || comparing.value) return null;
  return (
    <div class="go">
      <span>{now.bytes ? 'Classes changed.' : 'Ready to adapt.'}</span>
      <button type="button" class="primary" onClick={adapt}>
        {now.bytes ? 'Adapt to the changes' : 'Adapt now'}
      </button>
    </div>
  );
}
