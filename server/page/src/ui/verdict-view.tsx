import { t } from '../messages/index.js';
import { person, query } from '../state/signals.js';
import { type Verdict, verdict } from '../state/verdict.js';

/** Bars that are shown; the others follow when asked for. */
const SHOWN = 4;

const percent = (value: number) => `${Math.round(100 * value)} %`;

/** What the picture at hand is taken for, and how sure that is. */
export function VerdictView() {
  const now = query.value;
  const predicted = now?.prediction;
  if (!predicted || !verdict.value)
    return <p class="verdict waiting">{person.value?.bytes ? t().showIt : t().teachFirst}</p>;
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
    <div
      class={`prediction says-${verdict.value.kind}`}
      data-query={now.id}
      data-milliseconds={predicted.milliseconds}
      data-familiarity={predicted.familiarity}
    >
      {/* Told again only where it changes: the camera predicts several times a second. */}
      <p class="verdict" role="status">
        <Words said={verdict.value} />
      </p>
      <ol class="bars" aria-label={t().howSure}>
        {sorted.slice(0, SHOWN).map(bar)}
      </ol>
      {sorted.length > SHOWN && (
        <details>
          <summary>{t().allThings(sorted.length)}</summary>
          <ol class="bars">{sorted.slice(SHOWN).map(bar)}</ol>
        </details>
      )}
    </div>
  );
}

function Words({ said }: { said: Verdict }) {
  if (said.kind === 'none') return <strong>{t().noneOfThese}</strong>;
  if (said.kind === 'class')
    return (
      <>
        {t().itIs} <strong>{said.label}</strong>
      </>
    );
  return (
    <>
      <strong>{t().notSure}</strong>{' '}
      {said.other && <span class="quiet">{t().notSureBetween(said.label, said.other)}</span>}
    </>
  );
}
