import { classes, person, query } from '../state/signals.js';

const percent = (value: number) => `${(100 * value).toFixed(value > 0.9995 || value < 0.0005 ? 0 : 1)} %`;
/** Bars that are shown; the others follow when asked for. */
const SHOWN = 6;

/** What the profile makes of the picture at hand. */
export function PredictionView() {
  const now = query.value;
  const predicted = now?.prediction;
  if (!person.value?.bytes) {
    if (!now || classes.value.length < 2) return null;
    return <p class="quiet hint">Press Adapt, and the model says what it takes pictures for.</p>;
  }
  if (!predicted) return <p class="quiet hint">Show it something: what it takes the picture for stands here.</p>;
  const sorted = [...predicted.probabilities].sort((a, b) => b.probability - a.probability);
  const bar = ({ label, probability }: (typeof sorted)[number]) => (
    <li key={label} data-label={label} data-probability={probability}>
      <span class="bar-label">{label}</span>
      <span class="bar" aria-hidden="true">
        <span style={{ width: `${Math.max(0.5, 100 * probability)}%` }} />
      </span>
      <span class="bar-value">{percent(probability)}</span>
    </li>
  );
  return (
    <div class="prediction" data-query={now?.id} data-milliseconds={predicted.milliseconds}>
      <p class="verdict">
        {/* Told again only where it changes: the camera predicts several times a second. */}
        <span role="status">
          It is <strong>{predicted.label}</strong>
        </span>
        <span class="quiet">{predicted.milliseconds.toFixed(1)} ms</span>
      </p>
      <ol class="bars" aria-label="Probabilities">
        {sorted.slice(0, SHOWN).map(bar)}
      </ol>
      {sorted.length > SHOWN && (
        <details>
          <summary>All {sorted.length} classes</summary>
          <ol class="bars">{sorted.slice(SHOWN).map(bar)}</ol>
        </details>
      )}
    </div>
  );
}
