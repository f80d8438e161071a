import { useId } from 'preact/hooks';
import { t } from '../messages/index.js';
import { type ModelChoice, models } from '../state/models.js';
import { openBundle } from '../state/opening.js';
import { bundleName, looksColourful } from '../state/signals.js';
import { Sign } from './signs.js';

const about = ({ kind }: ModelChoice): string | undefined =>
  kind === 'photos' ? t().photosFor : kind === 'drawings' ? t().drawingsFor : undefined;

/** Which model looks at the pictures, by what it is good for. */
export function Models() {
  const id = useId();
  const all = models.value;
  const better = looksColourful.value ? all.find(({ kind }) => kind === 'photos') : undefined;
  if (all.length < 2) return null;
  return (
    <section class="models" aria-labelledby={id}>
      <h2 id={id} class="hidden-text">
        {t().modelQuestion}
      </h2>
      <div class="choices" role="radiogroup" aria-labelledby={id}>
        {all.map((one) => (
          <label key={one.name} class="choice">
            <input
              type="radio"
              name="model"
              value={one.name}
              checked={one.name === bundleName.value}
              onChange={() => openBundle(one.name)}
            />
            <Sign name={one.kind === 'photos' ? 'photo' : 'draw'} size={26} />
            <span class="choice-text">
              <strong>{one.title}</strong>
              <span class="quiet">{about(one)}</span>
            </span>
          </label>
        ))}
      </div>
      {better && (
        <p class="suggestion" role="status">
          <span>{t().looksLikePhoto}</span>
          <button type="button" class="primary" onClick={() => openBundle(better.name)}>
            {t().useOther(better.title)}
          </button>
        </p>
      )}
    </section>
  );
}
