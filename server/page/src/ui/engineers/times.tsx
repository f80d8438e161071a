import { useState } from 'preact/hooks';
import { measureSpeedUp } from '../../state/computing.js';
import type { LastAdaptation } from '../../state/model.js';
import { densest } from '../../state/patterns.js';
import { adapting, opened } from '../../state/signals.js';

const milliseconds = (value: number) => `${value < 100 ? value.toFixed(1) : Math.round(value)} ms`;
const sizeOf = (value: number) => (value < 1000 ? `${value} B` : `${(value / 1000).toFixed(1)} kB`);

/** How long the last adaptation took, what moving everything would have, and what is kept. */
export function AdaptTimes({ last, bytes }: { last: LastAdaptation; bytes: number }) {
  const { manifest } = opened.value ?? {};
  const [isMeasuring, setMeasuring] = useState(false);
  if (!manifest) return null;
  const most = densest(manifest);
  const all = manifest.patterns[most]?.graphs.encode ? `the weights of "${most}"` : 'everything';
  const measure = async () => {
    setMeasuring(true);
    await measureSpeedUp();
    setMeasuring(false);
  };
  return (
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
          <dd>{last.dense === undefined ? '–' : `${(last.dense / last.total).toFixed(1)}×`}</dd>
          <dd class="quiet">
            {last.dense === undefined ? (
              <button type="button" disabled={isMeasuring || adapting.value !== undefined} onClick={measure}>
                {isMeasuring ? 'Measuring' : `Measure moving ${all}`}
              </button>
            ) : (
              `over moving ${all}, ${milliseconds(last.dense)} here`
            )}
          </dd>
        </div>
      )}
      <div>
        <dt>Kept</dt>
        <dd>{sizeOf(bytes)}</dd>
        <dd class="quiet">on this device, by pattern {last.pattern}</dd>
      </div>
    </dl>
  );
}

/** What took the time beside encoding. */
function stepsTaken({ auto, losses }: LastAdaptation): string {
  if (auto) return `to try patterns and take ${losses.length} steps`;
  return losses.length > 0 ? `for ${losses.length} steps` : 'for the head';
}
