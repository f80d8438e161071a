import { useId, useState } from 'preact/hooks';
import { cancel, compare } from '../state/computing.js';
import {
  adapting,
  classes,
  compared,
  comparing,
  comparison,
  missing,
  opened,
  people,
  personId,
} from '../state/signals.js';
import type { ComparedPattern } from '../workers/compute.js';

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [360, 196, 46, 30, 28, 34];
/** Of a label: a character's width, and a line's height. */
const [CHARACTER, LINE] = [7, 12];
const accuracyOf = ({ right, count }: ComparedPattern) => right / count;
const percent = (value: number) => `${Math.round(100 * value)} %`;
const time = (value: number) => `${value < 100 ? value.toFixed(1) : Math.round(value)} ms`;

/** Time against accuracy of a bundle's patterns, on examples that are held back in turn. */
export function CompareCard() {
  const id = useId();
  const { manifest } = opened.value ?? {};
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  if (!manifest) return null;
  const names = Object.keys(manifest.patterns);
  const wanted = names.filter((name) => !left.has(name));
  const fewest = Math.min(...classes.value.map(({ pictures }) => pictures.length));
  const reason =
    missing.value ?? (fewest < 2 ? 'Every class needs two examples, one of them to be held back.' : undefined);
  const results = compared.value;
  const other = comparison.value?.id === personId.value ? undefined : comparison.value;
  const progress = other
    ? `Comparing on "${people.value.find(({ id }) => id === other.id)?.name ?? 'a deleted profile'}"`
    : `${results.length} of ${wanted.length} patterns`;
  return (
    <section class="card" aria-labelledby={id}>
      <details class="fold" open={results.length > 0 || comparing.value}>
        <summary>
          <h2 id={id}>Compare patterns</h2>
        </summary>
        <p class="quiet">
          Every example is predicted by a profile that was adapted without it, for each pattern. Those that move more
          fetch more of the model.
        </p>
        <fieldset class="checks">
          <legend>Patterns</legend>
          {names.map((name) => (
            <label key={name} class="check">
              <input
                type="checkbox"
                checked={!left.has(name)}
                onChange={() => {
                  const next = new Set(left);
                  if (!next.delete(name)) next.add(name);
                  setLeft(next);
                }}
              />
              {name}
            </label>
          ))}
        </fieldset>
        <div class="row">
          {comparing.value ? (
            <button type="button" class="danger filled" onClick={cancel}>
              Cancel
            </button>
          ) : (
            <button
              type="button"
              disabled={reason !== undefined || wanted.length === 0 || adapting.value !== undefined}
              onClick={() => compare(wanted)}
            >
              Compare
            </button>
          )}
          <p class="hint" role="status">
            {comparing.value ? progress : reason}
          </p>
        </div>
        {results.length > 0 && <Results results={results} />}
      </details>
    </section>
  );
}

/** Where labels of points stand: above, below, or a line further where another label is there already. */
function labelHeights(points: readonly { readonly text: string; readonly x: number; readonly y: number }[]): number[] {
  const placed: { readonly from: number; readonly to: number; readonly y: number }[] = [];
  return points.map(({ text, x, y }) => {
    const half = (text.length * CHARACTER) / 2;
    const [from, to] = [x - half, x + half];
    const isFree = (height: number) =>
      placed.every((other) => Math.abs(other.y - height) >= LINE || other.from >= to || other.to <= from);
    const heights = [y - 9, y + 17, y - 9 - LINE, y + 17 + LINE];
    const height = heights.find(isFree) ?? y - 9;
    placed.push({ from, to, y: height });
    return height;
  });
}

function Results({ results }: { results: readonly ComparedPattern[] }) {
  const times = results.map(({ adapt }) => adapt);
  const [least, most] = [Math.min(...times) / 1.5, Math.max(...times) * 1.5];
  const worst = Math.min(0.9, ...results.map(accuracyOf)) - 0.05;
  const x = (value: number) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(value / least)) / Math.log(most / least);
  const y = (value: number) => TOP + ((HEIGHT - TOP - BOTTOM) * (1 - value)) / (1 - worst);
  const ticks = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000].filter((tick) => tick >= least && tick <= most);
  const sorted = [...results].sort((a, b) => a.adapt - b.adapt);
  const points = sorted.map((result) => ({ result, x: x(result.adapt), y: y(accuracyOf(result)) }));
  const heights = labelHeights(points.map(({ result, x, y }) => ({ text: result.pattern, x, y })));
  return (
    <>
      <svg
        class="chart scatter"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label="Accuracy against ms to adapt; the table below has the figures"
      >
        <line x1={LEFT} x2={WIDTH - RIGHT} y1={HEIGHT - BOTTOM} y2={HEIGHT - BOTTOM} class="axis" />
        {[1, (1 + worst) / 2].map((value) => (
          <g key={value}>
            <line x1={LEFT} x2={WIDTH - RIGHT} y1={y(value)} y2={y(value)} class="grid" />
            <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">
              {percent(value)}
            </text>
          </g>
        ))}
        {ticks.map((tick) => (
          <text key={tick} x={x(tick)} y={HEIGHT - BOTTOM + 15} text-anchor="middle">
            {tick < 1000 ? tick : `${tick / 1000}k`}
          </text>
        ))}
        <text x={WIDTH - RIGHT} y={HEIGHT - 4} text-anchor="end">
          ms to adapt
        </text>
        {points.map(({ result: { pattern }, x, y }, i) => (
          <g key={pattern}>
            <circle cx={x} cy={y} r="5" class="dot" />
            <text x={x} y={heights[i]} text-anchor="middle" class="name">
              {pattern}
            </text>
          </g>
        ))}
      </svg>
      <table>
        <thead>
          <tr>
            <th scope="col">pattern</th>
            <th scope="col">held back, right</th>
            <th scope="col">adapt</th>
            <th scope="col">kept</th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((result) => (
            <tr key={result.pattern} data-pattern={result.pattern}>
              <th scope="row">{result.pattern}</th>
              <td>
                {result.right} of {result.count} ({percent(accuracyOf(result))})
              </td>
              <td>{time(result.adapt)}</td>
              <td>{(result.bytes / 1000).toFixed(1)} kB</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
