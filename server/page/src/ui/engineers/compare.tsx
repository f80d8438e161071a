import { useState } from 'preact/hooks';
import { t } from '../../messages/index.js';
import { inMilliseconds, kilobytes } from '../../messages/measures.js';
import { cancel, compare } from '../../state/computing.js';
import { classes, compared, comparing, comparison, missing, opened, people, personId } from '../../state/signals.js';
import type { ComparedPattern } from '../../workers/hold-back.js';
import { ScrollArea } from '../scroll-area.js';
import { Columns } from './columns.js';

const accuracyOf = ({ right, count }: ComparedPattern) => right / count;
const percent = (value: number) => `${Math.round(100 * value)} %`;

/** Time and accuracy of a bundle's patterns, on examples that are held back in turn. */
export function Compare() {
  const words = t().engineers;
  const { manifest } = opened.value ?? {};
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  if (!manifest) return null;
  const names = Object.keys(manifest.patterns);
  const wanted = names.filter((name) => !left.has(name));
  const hasTwo = classes.value.some(({ pictures }) => pictures.length > 1);
  const reason = missing.value === undefined && hasTwo ? undefined : words.compareNeeds;
  const results = compared.value;
  const other = comparison.value?.id === personId.value ? undefined : comparison.value;
  const progress = other
    ? words.comparingOn(people.value.find(({ id }) => id === other.id)?.name ?? words.deletedProfile)
    : words.comparedSoFar(results.length, wanted.length);
  return (
    <details class="fold" open={results.length > 0 || comparing.value}>
      <summary>
        <h3>{words.compareTitle}</h3>
      </summary>
      <p class="quiet">{words.compareAbout}</p>
      <fieldset class="checks">
        <legend>{words.patterns}</legend>
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
            <span translate={false}>{name}</span>
          </label>
        ))}
      </fieldset>
      <div class="row">
        {comparing.value ? (
          <button type="button" class="danger filled" onClick={cancel}>
            {words.cancel}
          </button>
        ) : (
          <button type="button" disabled={reason !== undefined || wanted.length === 0} onClick={() => compare(wanted)}>
            {words.compare}
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
  const words = t().engineers;
  const sorted = [...results].sort((a, b) => a.adapt - b.adapt);
  const slowest = Math.max(...results.map(({ adapt }) => adapt));
  const bar = (share: number) => (
    <span class="bar" aria-hidden="true">
      <span style={{ width: `${100 * share}%` }} />
    </span>
  );
  return (
    <ScrollArea label={words.results}>
      <table class="compared">
        <Columns names={words.columns} />
        <tbody>
          {sorted.map((result) => (
            <tr key={result.pattern} data-pattern={result.pattern}>
              <th scope="row" translate={false}>
                {result.pattern}
              </th>
              <td>
                {words.rightOf(result.right, result.count)} ({percent(accuracyOf(result))}){bar(accuracyOf(result))}
              </td>
              <td>
                {inMilliseconds(result.adapt)}
                {bar(result.adapt / slowest)}
              </td>
              <td>{kilobytes(result.bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollArea>
  );
}
