import { useState } from 'preact/hooks';
import { cancel, compare } from '../../state/computing.js';
import { classes, compared, comparing, comparison, missing, opened, people, personId } from '../../state/signals.js';
import type { ComparedPattern } from '../../workers/hold-back.js';
import { ScrollArea } from '../scroll-area.js';

const accuracyOf = ({ right, count }: ComparedPattern) => right / count;
const percent = (value: number) => `${Math.round(100 * value)} %`;
const time = (value: number) => `${value < 100 ? value.toFixed(1) : Math.round(value)} ms`;

/** Time and accuracy of a bundle's patterns, on examples that are held back in turn. */
export function Compare() {
  const { manifest } = opened.value ?? {};
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  if (!manifest) return null;
  const names = Object.keys(manifest.patterns);
  const wanted = names.filter((name) => !left.has(name));
  const hasTwo = classes.value.some(({ pictures }) => pictures.length > 1);
  const reason =
    missing.value === undefined && hasTwo ? undefined : 'Two classes, one of them of two examples, are needed.';
  const results = compared.value;
  const other = comparison.value?.id === personId.value ? undefined : comparison.value;
  const progress = other
    ? `Comparing on "${people.value.find(({ id }) => id === other.id)?.name ?? 'a deleted profile'}"`
    : `${results.length} of ${wanted.length} patterns`;
  return (
    <details class="fold" open={results.length > 0 || comparing.value}>
      <summary>
        <h3>Compare patterns</h3>
      </summary>
      <p class="quiet">
        Examples are predicted by a profile that was adapted without them, for each pattern. Those that move more fetch
        more of the model.
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
          <button type="button" disabled={reason !== undefined || wanted.length === 0} onClick={() => compare(wanted)}>
            Compare
          </button>
        )}
        <p class="hint" role="status">
          {comparing.value ? progress : reason}
        </p>
      </div>
      {results.length > 0 && <Results results={results} />}
    </details>
  );
}

/** One row a pattern, the fastest first; bars begin at nothing. */
function Results({ results }: { results: readonly ComparedPattern[] }) {
  const sorted = [...results].sort((a, b) => a.adapt - b.adapt);
  const slowest = Math.max(...results.map(({ adapt }) => adapt));
  const bar = (share: number) => (
    <span class="bar" aria-hidden="true">
      <span style={{ width: `${100 * share}%` }} />
    </span>
  );
  return (
    <ScrollArea label="Compared patterns">
      <table class="compared">
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
                {result.right} of {result.count} ({percent(accuracyOf(result))}){bar(accuracyOf(result))}
              </td>
              <td>
                {time(result.adapt)}
                {bar(result.adapt / slowest)}
              </td>
              <td>{(result.bytes / 1000).toFixed(1)} kB</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollArea>
  );
}
