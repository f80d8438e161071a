import { useId } from 'preact/hooks';
import { adapt, adapting, cancel, classes, comparing, missing, opened, person, setPattern } from '../state/app.js';
import { picturesOf } from '../state/model.js';
import { LossChart } from './loss-chart.js';

const milliseconds = (value: number) => `${value < 100 ? value.toFixed(1) : Math.round(value)} ms`;
const bytes = (value: number) => (value < 1000 ? `${value} B` : `${(value / 1000).toFixed(1)} kB`);

/** The inner loop: which pattern, go, and what came of it. */
export function AdaptCard() {
  const id = useId();
  const { manifest } = opened.value ?? {};
  const now = person.value;
  const running = adapting.value;
  if (!manifest || !now) return null;
  const { pattern, last, stale } = now.extra;
  const reason = missing.value;
  const described = manifest.patterns[pattern]?.description;
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
            {Object.keys(manifest.patterns).map((name) => (
              <option key={name} value={name}>
                {name}
                {name === manifest.defaultPattern ? ' (default)' : ''}
              </option>
            ))}
          </select>
        </label>
        {running ? (
          <button type="button" class="danger filled" onClick={cancel}>
            Cancel
          </button>
        ) : (
          <button
            type="button"
            class="primary big"
            disabled={reason !== undefined || comparing.value}
            aria-describedby={`${id}-reason`}
            onClick={adapt}
          >
            {now.bytes && stale ? 'Adapt again' : 'Adapt'}
          </button>
        )}
      </div>
      {described && <p class="quiet">{described}</p>}
      <p id={`${id}-reason`} class="hint" role="status">
        {running
          ? `Step ${running.step} of ${running.steps}`
          : (reason ??
            (now.bytes && stale
              ? 'Classes changed since it was adapted: adapt again to use them.'
              : now.bytes
                ? ''
                : `Ready: ${picturesOf(classes.value)} examples of ${classes.value.length} classes.`))}
      </p>
      {(running ?? last) && (
        <LossChart losses={running?.losses ?? last?.losses ?? []} steps={running?.steps ?? last?.losses.length ?? 0} />
      )}
      {!running && last && (
        <dl class="figures" data-milliseconds={last.total}>
          <div>
            <dt>Adapted in</dt>
            <dd>{milliseconds(last.total)}</dd>
            <dd class="quiet">
              {last.encoded > 0 && `${milliseconds(last.encode)} to encode ${last.encoded} examples, `}
              {milliseconds(last.steps)} for {last.losses.length} steps
              {last.encoded < last.examples && `; ${last.examples - last.encoded} examples were encoded before`}
            </dd>
          </div>
          <div>
            <dt>Speed-up</dt>
            <dd>{last.dense === undefined ? '…' : `${(last.dense / last.total).toFixed(1)}×`}</dd>
            <dd class="quiet">
              {last.dense === undefined
                ? 'measuring what moving everything takes here'
                : `over moving everything, ${milliseconds(last.dense)} here`}
            </dd>
          </div>
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
