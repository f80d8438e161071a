import { useEffect, useRef } from 'preact/hooks';
import { t } from '../../messages/index.js';
import { loss } from '../../messages/measures.js';

const HEIGHT = 190;

/** The loss of the examples before each step, from zero, so that what hardly falls is drawn so. */
export function LossChart({ losses }: { losses: readonly number[] }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let isGone = false;
    let chart: { destroy(): void } | undefined;
    const drawing = import('./draw-lines.js').then(({ drawLines }) => {
      if (place.current && !isGone) chart = drawLines(place.current, losses, HEIGHT);
    });
    // Where it cannot be drawn, as by a browser whose language is `C`, the words below say the same.
    drawing.catch(() => {});
    return () => {
      isGone = true;
      chart?.destroy();
    };
  }, [losses]);
  const [first, last] = [losses[0] as number, losses.at(-1) as number];
  const { lossLabel, lossCaption } = t().engineers;
  const summary = lossLabel(loss(first), loss(last), losses.length);
  return (
    <figure class="chart">
      <div ref={place} role="img" aria-label={summary} style={{ minHeight: `${HEIGHT}px` }} />
      <figcaption class="quiet">{lossCaption(loss(first), loss(last))}</figcaption>
    </figure>
  );
}
