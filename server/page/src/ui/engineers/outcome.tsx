import type { AutoReport, HeldBack } from '@whet/runtime/web';
import type { LastAdaptation } from '../../state/model.js';

/** How much of the examples came out right unseen, and why there were no steps, or what `auto` took and why; what it tried stands behind that. */
export function AdaptOutcome({ last: { heldBack, spared, auto, losses, pattern } }: { last: LastAdaptation }) {
  const right = heldBack ? `${ofAll(heldBack)} right when not seen` : '';
  if (!auto) {
    const said = [right, spared && `Took no steps of ${pattern}, solved for the head: ${spared}`].filter(Boolean);
    return said.length > 0 ? <p class="quiet">{said.join('. ')}.</p> : null;
  }
  const isSolved = auto.trials.some(({ solved }) => solved);
  const took =
    losses.length > 0
      ? `Took ${losses.length} steps of ${pattern}`
      : isSolved
        ? 'Solved for the head'
        : 'Took no steps';
  return (
    <details class="tried">
      <summary class="quiet">
        {right && `${right}. `}
        {took}: {auto.reason}.
      </summary>
      <Trials trials={auto.trials} />
    </details>
  );
}

const ofAll = ({ right, asked }: HeldBack) => `${right} of ${asked}`;

function Trials({ trials }: Pick<AutoReport, 'trials'>) {
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">tried</th>
          <th scope="col">steps</th>
          <th scope="col">right</th>
          <th scope="col">loss</th>
          <th scope="col">ms</th>
        </tr>
      </thead>
      <tbody>
        {trials.map(({ pattern, steps, solved, withViews, heldBack, views, milliseconds }) => {
          const told = heldBack ?? views;
          return (
            <tr key={`${pattern} ${steps} ${solved} ${withViews}`}>
              <th scope="row">
                {steps > 0 || solved ? pattern : 'start'}
                {withViews > 0 ? `, ${withViews} views` : ''}
              </th>
              <td>{steps}</td>
              <td>{told ? `${ofAll(told)}${told === views ? ' views' : ''}` : '–'}</td>
              <td>{told ? Number(told.loss.toPrecision(2)) : '–'}</td>
              <td>{Math.round(milliseconds)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
