import { useState } from 'preact/hooks';
import { t } from '../../messages/index.js';
import { decimal, inMilliseconds, kilobytes } from '../../messages/measures.js';
import { measureSpeedUp } from '../../state/computing.js';
import type { LastAdaptation } from '../../state/model.js';
import { densest } from '../../state/patterns.js';
import { adapting, opened } from '../../state/signals.js';

const sizeOf = (value: number) => (value < 1000 ? `${value} B` : kilobytes(value));

/** How long the last adaptation took, what moving everything would have, and what is kept. */
export function AdaptTimes({ last, bytes }: { last: LastAdaptation; bytes: number }) {
  const words = t().engineers;
  const { manifest } = opened.value ?? {};
  const [isMeasuring, setMeasuring] = useState(false);
  if (!manifest) return null;
  const most = densest(manifest);
  const all = manifest.patterns[most]?.graphs.encode ? words.weightsOf(most) : words.everything;
  const measure = async () => {
    setMeasuring(true);
    await measureSpeedUp();
    setMeasuring(false);
  };
  return (
    <dl class="figures" data-milliseconds={last.total}>
      <div>
        <dt>{words.adaptedIn}</dt>
        <dd>{inMilliseconds(last.total)}</dd>
        <dd class="quiet">
          {last.encoded > 0 && `${words.encoded(inMilliseconds(last.encode), last.encoded)}, `}
          {stepsTaken(last)}
          {last.encoded < last.examples && `; ${words.encodedBefore(last.examples - last.encoded)}`}
        </dd>
      </div>
      {last.pattern !== most && (
        <div>
          <dt>{words.speedUp}</dt>
          <dd>{last.dense === undefined ? '–' : `${decimal(last.dense / last.total)}×`}</dd>
          <dd class="quiet">
            {last.dense === undefined ? (
              <button type="button" disabled={isMeasuring || adapting.value !== undefined} onClick={measure}>
                {isMeasuring ? words.measuring : words.measure(all)}
              </button>
            ) : (
              words.overMoving(all, inMilliseconds(last.dense))
            )}
          </dd>
        </div>
      )}
      <div>
        <dt>{words.kept}</dt>
        <dd>{sizeOf(bytes)}</dd>
        <dd class="quiet">{words.keptHere(last.pattern)}</dd>
      </div>
    </dl>
  );
}

/** What took the time beside encoding. */
function stepsTaken({ auto, losses, steps }: LastAdaptation): string {
  const { forTrials, forSteps, forHead } = t().engineers;
  const time = inMilliseconds(steps);
  if (auto) return forTrials(time, losses.length);
  return losses.length > 0 ? forSteps(time, losses.length) : forHead(time);
}
