const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [360, 116, 62, 24, 10, 12];

const short = (value: number): string =>
  value === 0 ? '0' : value < 0.001 ? value.toExponential(3) : value.toPrecision(4);

/** The loss of the examples before each step. */
export function LossChart({ losses, steps }: { losses: readonly number[]; steps: number }) {
  if (losses.length === 0) return <div class="chart empty" aria-hidden="true" />;
  const top = Math.max(...losses);
  const low = Math.min(...losses);
  const span = top - low || 1;
  const x = (step: number) => LEFT + ((WIDTH - LEFT - RIGHT) * step) / Math.max(1, steps - 1);
  // From the least to the largest, which stand beside the axis: well-trained starts leave little to fall.
  const y = (loss: number) => TOP + ((HEIGHT - TOP - BOTTOM) * (top - loss)) / span;
  const points = losses.map((loss, i) => `${x(i).toFixed(1)},${y(loss).toFixed(1)}`);
  const last = losses.at(-1) as number;
  const summary = `Loss of the examples: ${short(losses[0] as number)} before step 1, ${short(last)} before step ${losses.length}`;
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={summary}>
        <line x1={LEFT} x2={WIDTH - RIGHT} y1={y(low)} y2={y(low)} class="axis" />
        <line x1={LEFT} x2={WIDTH - RIGHT} y1={y(top)} y2={y(top)} class="grid" />
        <text x={LEFT - 6} y={y(top) + 4} text-anchor="end">
          {short(top)}
        </text>
        <text x={LEFT - 6} y={y(low) + 4} text-anchor="end">
          {short(low)}
        </text>
        <polyline points={points.join(' ')} class="line" />
        {points.map((point, i) => {
          const [cx, cy] = point.split(',');
          return <circle key={point} cx={cx} cy={cy} r={i === points.length - 1 ? 4 : 2.5} class="dot" />;
        })}
        <text x={LEFT} y={HEIGHT - 5}>
          step 1
        </text>
        <text x={WIDTH - RIGHT} y={HEIGHT - 5} text-anchor="end">
          {`step ${steps}`}
        </text>
      </svg>
      <figcaption class="quiet">Loss of the examples before each step</figcaption>
    </figure>
  );
}
