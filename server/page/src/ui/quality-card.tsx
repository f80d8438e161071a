import { useId } from 'preact/hooks';
import { t } from '../messages/index.js';
import type { Quality } from '../state/model.js';
import { classes, key, person } from '../state/signals.js';
import { ScrollArea } from './scroll-area.js';

/** Pictures of a thing below which more are asked for. */
const FEW = 4;
/** Advice that is given at a time. */
const MOST = 3;

/** How often it was right about pictures that it had not seen, what it mixes up, and which thing wants more pictures. */
export function QualityCard() {
  const id = useId();
  const { quality, last } = person.value?.extra ?? {};
  if (!last) return null;
  const asked = quality?.counts.flat().reduce((sum, count) => sum + count, 0) ?? 0;
  return (
    <section class="card quality" aria-labelledby={id} aria-busy={quality?.key !== key.value}>
      <h2 id={id}>{t().quality}</h2>
      {quality && asked > 0 ? <Answers quality={quality} asked={asked} /> : <p class="quiet">{t().qualityNone}</p>}
    </section>
  );
}

function Answers({ quality: { names, counts }, asked }: { quality: Quality; asked: number }) {
  const right = names.reduce((sum, _, i) => sum + (counts[i]?.[i] ?? 0), 0);
  const mixed = names
    .flatMap((own, i) => names.map((said, j) => ({ own, said, count: i === j ? 0 : (counts[i]?.[j] ?? 0) })))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count);
  const few = classes.value.filter(({ pictures }) => pictures.length > 0 && pictures.length < FEW);
  const advice = [
    ...mixed.map(({ own, said, count }) => t().confuses(own, said, count)),
    ...few.map(({ name, pictures }) => t().wantsMore(name, pictures.length)),
  ].slice(0, MOST);
  return (
    <>
      <p class="right-of">
        <strong>{t().rightOf(right, asked)}</strong> {t().rightWhat}
      </p>
      <ul class="advice">
        {advice.map((text) => (
          <li key={text}>{text}</li>
        ))}
        {advice.length === 0 && <li>{t().allGood}</li>}
      </ul>
      {mixed.length > 0 && names.length <= 12 && <Matrix names={names} counts={counts} />}
    </>
  );
}

function Matrix({ names, counts }: Pick<Quality, 'names' | 'counts'>) {
  const most = Math.max(1, ...counts.flat());
  return (
    <ScrollArea label={t().matrix}>
      <table class="matrix">
        <caption>{t().matrix}</caption>
        <thead>
          <tr>
            <th scope="col">
              {t().matrixShown} ↓ {t().matrixSaid} →
            </th>
            {names.map((name) => (
              <th key={name} scope="col">
                <span class="matrix-name">{name}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {names.map((own, i) => (
            <tr key={own}>
              <th scope="row">
                <span class="matrix-name">{own}</span>
              </th>
              {names.map((said, j) => {
                const count = counts[i]?.[j] ?? 0;
                return (
                  <td
                    key={said}
                    class={i === j ? 'own' : count > 0 ? 'mixed' : ''}
                    style={{ '--share': String(count / most) }}
                  >
                    {count || ''}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollArea>
  );
}
